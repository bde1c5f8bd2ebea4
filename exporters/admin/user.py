"""Users: Django's own screen, without the permissions that teams and roles replace."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User

from ..models import Membership
from .base import TabularInline

if TYPE_CHECKING:
    _UserAdmin = DjangoUserAdmin[User]
else:
    _UserAdmin = DjangoUserAdmin

admin.site.unregister(Group)
admin.site.unregister(User)


class MembershipsInline(TabularInline):
    model = Membership
    autocomplete_fields = ("team",)
    extra = 0


@admin.register(User)
class UserAdmin(_UserAdmin):
    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", ("memberships__team", admin.RelatedOnlyFieldListFilter))
    filter_horizontal = ()
    inlines = (MembershipsInline,)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        (
            "Access",
            {
                "fields": ("is_active", "is_staff", "is_superuser"),
                "description": "Staff may sign in. A superuser is a platform administrator and may do "
                "everything; "
                "others do what their roles in teams allow.",
            },
        ),
    )
