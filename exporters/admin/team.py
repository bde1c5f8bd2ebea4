"""Teams and their members."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.contrib.auth import get_user_model
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from ..access import roles
from ..models import Membership, Team
from .base import HubAdmin
from .hidden_choices import KeepsHidden
from .scoped import TeamInline
from .scrape_configs import ScrapeConfigs
from .team_filter import TeamFilter


class UserNameField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Selects a user by exact name. For team owners, who may not list all users of the hub."""

    def __init__(self) -> None:
        super().__init__(
            get_user_model()._default_manager.filter(is_active=True),
            to_field_name="username",
            widget=AdminTextInputWidget(attrs={"autocomplete": "off"}),
            help_text="The exact username.",
            error_messages={
                "invalid_choice": "No user has this name. Platform administrators can add users."
            },
        )

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, int):
            return (
                get_user_model()._default_manager.filter(pk=value).values_list("username", flat=True).first()
            )
        return super().prepare_value(value)


class MembershipForm(KeepsHidden):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.fields.get("user")
        if isinstance(user, UserNameField) and self.instance.pk:
            # A deactivated user can't be added, but stays a member.
            users = get_user_model()._default_manager
            user.queryset = users.filter(Q(is_active=True) | Q(pk=self.instance.user_id))


class ChoosesUser:
    """Selects the user of a membership: platform administrators search, team owners enter the exact name."""

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user" and not roles.is_platform_administrator(request.user):
            return UserNameField()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]


class MembersInline(ChoosesUser, TeamInline):
    model = Membership
    verbose_name = "member"
    verbose_name_plural = "members"
    form = MembershipForm
    autocomplete_fields = ("user",)
    extra = 0


@admin.register(Team)
class TeamAdmin(ScrapeConfigs):
    ordering = ("name",)  # annotating counts drops the model's ordering
    list_display = ("name", "description", "members", "namespaces", "source")
    list_filter = ("source",)
    search_fields = ("name", "description")
    fields = ("name", "description")
    inlines = (MembersInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Prometheus and hub.yaml use the name. It is unique in the hub, so renaming would reveal which names are taken.
        return () if roles.is_platform_administrator(request.user) else ("name",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Team]":
        found: QuerySet[Team] = super().get_queryset(request)
        return found.annotate(
            member_count=Count("memberships", distinct=True),
            namespace_count=Count("namespaces", distinct=True),
        )

    @admin.display(description="members", ordering="member_count")
    def members(self, team: Team) -> int:
        return int(team.member_count)  # type: ignore[attr-defined]

    @admin.display(description="namespaces", ordering="namespace_count")
    def namespaces(self, team: Team) -> int:
        return int(team.namespace_count)  # type: ignore[attr-defined]


@admin.register(Membership)
class MembershipAdmin(ChoosesUser, HubAdmin):
    form = MembershipForm
    list_display = ("user", "team", "role")
    list_select_related = ("user", "team")
    list_filter = ("role", TeamFilter)
    search_fields = ("user__username", "user__email", "team__name")
    # Owners can add any user. If they could search email addresses, they could find one out character by character.
    administrators_search_fields = ("user__email",)
    autocomplete_fields = ("user", "team")
