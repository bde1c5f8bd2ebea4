"""Grants of the platform's credentials, on the page of the credential."""

from typing import Any

from django import forms
from django.http import HttpRequest

from .. import access
from ..models import IdentityGrant
from .base import TabularInline
from .fields import LinesField


class GrantForm(forms.ModelForm):  # type: ignore[type-arg]
    hosts = LinesField(help_text=IdentityGrant._meta.get_field("hosts").help_text)

    class Meta:
        model = IdentityGrant
        fields = ("team", "hosts")


class GrantsInline(TabularInline):
    """Platform administrators alone see and change who may use what for which hosts."""

    model = IdentityGrant
    form = GrantForm
    autocomplete_fields = ("team",)
    verbose_name_plural = "granted to teams"
    extra = 0

    def _allows(self, request: HttpRequest, credential: Any) -> bool:
        is_the_platforms = credential is None or credential.team_id is None
        return is_the_platforms and access.is_platform_administrator(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, obj)
