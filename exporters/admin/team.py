"""Teams and their members."""

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from ..models import Membership, Team
from .base import HubAdmin, SourceFilter, TabularInline


class MembersInline(TabularInline):
    model = Membership
    autocomplete_fields = ("user",)
    extra = 0


@admin.register(Team)
class TeamAdmin(HubAdmin):
    ordering = ("name",)  # the counts below would lose the model's own
    list_display = ("name", "description", "members", "namespaces", "source")
    list_filter = (SourceFilter,)
    search_fields = ("name", "description")
    fields = ("name", "description")
    inlines = (MembersInline,)

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
class MembershipAdmin(HubAdmin):
    list_display = ("user", "team", "role")
    list_select_related = ("user", "team")
    list_filter = ("role", ("team", admin.RelatedOnlyFieldListFilter))
    search_fields = ("user__username", "user__email", "team__name")
    autocomplete_fields = ("user", "team")
