"""Links to the wall page: made by the hub, shown once."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from .. import access
from ..models import WallLink
from ..moments import time_tag
from .base import HubAdmin


class WallLinkForm(forms.ModelForm):  # type: ignore[type-arg]
    request: HttpRequest  # set by the admin

    class Meta:
        model = WallLink
        fields = ("name", "team", "expires_at")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if (
            "team" in self.fields
            and not self.errors.get("team")
            and cleaned.get("team") is None
            and not access.is_platform_administrator(self.request.user)
        ):
            self.add_error("team", "Choose a team. Only a platform administrator makes links for all teams.")
        expires_at = cleaned.get("expires_at")
        if "expires_at" in self.changed_data and expires_at is not None and expires_at <= timezone.now():
            self.add_error("expires_at", "This time is over. To end a link now, revoke it.")
        return cleaned


@admin.register(WallLink)
class WallLinkAdmin(HubAdmin):
    form = WallLinkForm
    list_display = ("name", "team", "state", "expires", "created")
    list_select_related = ("team",)
    list_filter = (("team", admin.RelatedOnlyFieldListFilter),)
    search_fields = ("name", "team__name")
    autocomplete_fields = ("team",)
    actions = ("revoke",)
    fieldsets = (
        (
            None,
            {
                "fields": ("name", "team", "expires_at"),
                "description": "A page for a screen on the wall: names and states of the targets, no signing in. The "
                "hub makes its address and shows it once; who knows the address sees the page.",
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # A link that shows another team's targets is another link.
        return () if obj is None else ("team", "state", "created")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return super().get_fieldsets(request, obj)
        return ((None, {"fields": ("name", "team", "expires_at", "state", "created")}),)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"request": request})

    def save_model(self, request: HttpRequest, obj: WallLink, form: Any, change: bool) -> None:
        if not change:
            token = WallLink.generate()
            obj.set_token(token)
            request.new_token = token  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: WallLink, post_url_continue: str | None = None
    ) -> HttpResponseBase:
        """Show the address in the answer itself: a redirect would have to keep it in a cookie or the session."""
        path = reverse("wall", args=[request.new_token])  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Wall link {obj.name}",
            "opts": self.opts,
            "original": obj,
            "address": settings.HUB_EXTERNAL_URL + path,
            "path": path,
        }
        response = TemplateResponse(request, "admin/exporters/wall_link_created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke the selected links", permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: "QuerySet[WallLink]") -> None:
        allowed = access.changeable(request.user, queryset)
        if not allowed.exists():
            raise PermissionDenied
        links = list(allowed.filter(revoked_at=None))
        for link in links:
            link.revoke("revoked in the admin")
        names = ", ".join(link.name for link in links) or "none was usable"
        self.message_user(request, f"Revoked: {names}. Their screens get 404 from now on.")

    @admin.display(description="state")
    def state(self, link: WallLink) -> str:
        if link.revoked_at is not None:
            return "revoked"
        return "usable" if link.is_usable() else "expired"

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, link: WallLink) -> str:
        return time_tag(link.expires_at)

    @admin.display(description="made", ordering="created_at")
    def created(self, link: WallLink) -> str:
        return time_tag(link.created_at)
