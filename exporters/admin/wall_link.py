"""The pages for wall links, which the hub generates and shows once."""

from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from ..models import WallLink
from .bearer import BearerAdmin, BearerForm
from .team_filter import TeamFilter


class WallLinkForm(BearerForm):
    class Meta:
        model = WallLink
        fields = ("name", "team", "scope", "expires_at")


@admin.register(WallLink)
class WallLinkAdmin(BearerAdmin):
    form = WallLinkForm
    created_template = "admin/exporters/wall_link_created.html"
    revoked_means = "Their screens now get 404."
    list_display = ("name", "opened", "state", "expires", "created")
    list_select_related = ("team",)
    list_filter = (TeamFilter,)
    search_fields = ("name", "team__name")
    autocomplete_fields = ("team",)
    fieldsets = (
        (
            None,
            {
                "fields": ("name", "team", "scope", "expires_at"),
                "description": "A page for a wall screen: names and states of the targets, without sign-in. The hub "
                "creates its address and shows it once. Anyone with the address can view the page.",
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Showing another team's targets requires a new link.
        return () if obj is None else ("team", "scope", "state", "created")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return super().get_fieldsets(request, obj)
        return ((None, {"fields": ("name", "team", "scope", "expires_at", "state", "created")}),)

    def created_context(self, request: HttpRequest, obj: WallLink, secret: str) -> dict[str, Any]:
        path = reverse("wall", args=[secret])
        return {"address": urljoin(settings.HUB_EXTERNAL_URL, path), "path": path}
