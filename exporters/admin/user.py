"""Users: Django's own screen, without the permissions that teams and roles replace."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from .. import access
from ..models import Membership
from ..moments import time_tag
from .base import TeamInline

if TYPE_CHECKING:
    _UserAdmin = DjangoUserAdmin[User]
else:
    _UserAdmin = DjangoUserAdmin

admin.site.unregister(Group)
admin.site.unregister(User)


class MembershipsInline(TeamInline):
    model = Membership
    autocomplete_fields = ("team",)
    extra = 0

    def _allows(self, request: HttpRequest, action: str, team: Any) -> bool:
        return access.is_platform_administrator(request.user)


@admin.register(User)
class UserAdmin(_UserAdmin):
    list_display = ("username", "email", "is_active", "is_superuser", "last_sign_in")
    list_filter = ("is_active", "is_superuser", ("memberships__team", admin.RelatedOnlyFieldListFilter))
    filter_horizontal = ()
    inlines = (MembershipsInline,)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        (
            "Access",
            {
                "fields": ("is_active", "is_superuser"),
                "description": "A superuser is a platform administrator and may do everything. Others sign in as "
                "members of a team and do what their roles there allow.",
            },
        ),
    )

    @admin.display(description="last sign-in", ordering="last_login")
    def last_sign_in(self, user: User) -> str:
        return time_tag(user.last_login)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied  # Django looks the user up first and answers 404 or 403
        return super().history_view(request, object_id, extra_context)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return access.is_platform_administrator(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access.is_platform_administrator(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access.is_platform_administrator(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access.is_platform_administrator(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access.is_platform_administrator(request.user)
