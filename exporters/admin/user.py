"""The pages for users: Django's, without the permissions that teams and roles replace."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from ..access import roles
from ..formatting import time_tag
from ..models import Membership
from ..pages import wording
from .base import HubAdmin
from .scoped import TeamInline
from .team_filter import MembersTeamFilter

if TYPE_CHECKING:
    _UserAdmin = DjangoUserAdmin[User]
else:
    _UserAdmin = DjangoUserAdmin

# Replaces Django's help texts, which mention permissions that the hub doesn't use.
_HELP_TEXTS = {
    "username": "Up to 150 letters, digits and @ . + - _",
    "is_active": "If off, the user can't sign in. The user's changes remain in the history.",
    "is_superuser": "Can do everything in all teams.",
}

admin.site.unregister(Group)
admin.site.unregister(User)


class AdministratorFilter(admin.SimpleListFilter):
    title = "administrator"
    parameter_name = "administrator"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "Yes"), ("0", "No")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(is_superuser=self.value() == "1") if self.value() in {"0", "1"} else queryset


class MembershipsInline(TeamInline):
    model = Membership
    autocomplete_fields = ("team",)
    extra = 0

    def _allows(self, request: HttpRequest, action: str, team: Any) -> bool:
        return roles.is_platform_administrator(request.user)


@admin.register(User)
class UserAdmin(HubAdmin, _UserAdmin):  # type: ignore[misc] # the stubs of attributes differ
    list_display = ("username", "email", "is_active", "administrator", "last_sign_in")
    list_filter = ("is_active", AdministratorFilter, MembersTeamFilter)
    filter_horizontal = ()
    inlines = (MembershipsInline,)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        (
            "Access",
            {
                "fields": ("is_active", "is_superuser"),
                "description": "Users who aren't platform administrators can do what their team roles allow.",
            },
        ),
    )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        texts = {"labels": wording.FIELDS["user"], "help_texts": _HELP_TEXTS}
        return super().get_form(request, obj, change=change, **texts, **kwargs)

    @admin.display(description="administrator", boolean=True, ordering="is_superuser")
    def administrator(self, user: User) -> bool:
        return user.is_superuser

    @admin.display(description="last sign-in", ordering="last_login")
    def last_sign_in(self, user: User) -> str:
        return time_tag(user.last_login)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied  # before Django looks up the user and answers 404 or 403
        return super().history_view(request, object_id, extra_context)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # The history couldn't refer to a user who deleted themselves, and the last administrator must stay.
        return obj != request.user and super().has_delete_permission(request, obj)
