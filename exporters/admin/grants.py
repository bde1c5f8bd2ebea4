"""Grants of the platform's credentials, on the credential's page."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest

from ..access import roles
from ..models import IdentityGrant
from .fields import LinesField
from .scoped import RowPermissions

# An identity may be granted to every team. More rows would slow down the page; a search above them finds the others.
MOST_ROWS = 25
SEARCH = "grants"


class GrantForm(forms.ModelForm):  # type: ignore[type-arg]
    hosts = LinesField(help_text=IdentityGrant._meta.get_field("hosts").help_text)

    class Meta:
        model = IdentityGrant
        fields = ("team", "hosts")


class GrantsInline(RowPermissions):
    """The grants of a platform credential to teams, with their hosts. Only platform administrators see them."""

    model = IdentityGrant
    form = GrantForm
    autocomplete_fields = ("team",)
    verbose_name_plural = "granted to teams"
    extra = 0

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        found: QuerySet[Any] = super().get_queryset(request)
        credential = request.resolver_match and request.resolver_match.kwargs.get("object_id")
        if request.method == "POST" or not credential:
            return found  # a form sends only rows that its page had
        shown = found.filter(credential=credential, team__name__icontains=request.GET.get(SEARCH, "")[:63])
        rows = shown.order_by("team__name").values_list("pk", flat=True)[:MOST_ROWS]
        return found.filter(pk__in=list(rows))

    def _allows(self, request: HttpRequest, action: str, parent: Any) -> bool:
        is_the_platforms = parent is None or parent.team_id is None
        return is_the_platforms and roles.is_platform_administrator(request.user)
