"""Scrape tokens: made by the hub, shown once."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.options import IS_POPUP_VAR
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone

from .. import access
from ..models import Namespace, ScrapeToken
from ..moments import time_tag
from ..snippets import TOKEN_FILE, snippets
from .base import HubAdmin, SourceFilter


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = ScrapeToken
        fields = ("name", "team", "namespaces", "expires_at")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        team = cleaned.get("team", self.instance.team if self.instance.team_id else None)
        strange = [
            each for each in cleaned.get("namespaces") or () if team is not None and each.team_id != team.pk
        ]
        if strange:
            names = ", ".join(f"“{namespace}”" for namespace in strange)
            self.add_error("namespaces", f"Not of team “{team}”: {names}.")
        expires_at = cleaned.get("expires_at")
        if "expires_at" in self.changed_data and expires_at is not None and expires_at <= timezone.now():
            self.add_error("expires_at", "This time is over. To end a token now, revoke it.")
        return cleaned


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("usable", "usable"),
            ("expired", "expired"),
            ("revoked", "revoked"),
            ("unused", "never used"),
        ]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[ScrapeToken]") -> "QuerySet[ScrapeToken]":
        expired = {"expires_at__lte": timezone.now()}
        match self.value():
            case "usable":
                return queryset.filter(revoked_at=None).exclude(**expired)
            case "expired":
                return queryset.filter(revoked_at=None, **expired)
            case "revoked":
                return queryset.exclude(revoked_at=None)
            case "unused":
                return queryset.filter(last_used_at=None)
        return queryset


@admin.register(ScrapeToken)
class TokenAdmin(HubAdmin):
    form = TokenForm
    list_display = ("name", "team", "prefix", "state", "last_used", "source")
    list_select_related = ("team",)
    list_filter = (StateFilter, ("team", admin.RelatedOnlyFieldListFilter), SourceFilter)
    search_fields = ("name", "team__name", "prefix", "namespaces__name")
    autocomplete_fields = ("team", "namespaces")
    actions = ("revoke",)
    fieldsets = (
        (
            None,
            {
                "fields": ("name", "team", "namespaces", "expires_at"),
                "description": "The hub makes the token and shows it once.",
            },
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return super().get_fieldsets(request, obj)
        shown = ("prefix", "state", "created", "last_used", "last_used_address")
        return (
            (None, {"fields": ("name", "team", "namespaces", "expires_at")}),
            ("Token", {"fields": shown, "description": "Only a hash of it is stored."}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        # A token that opens another team's namespaces is another token.
        return ("team", "prefix", "state", "created", "last_used", "last_used_address")

    def save_model(self, request: HttpRequest, obj: ScrapeToken, form: Any, change: bool) -> None:
        if not change:
            token = ScrapeToken.generate()
            obj.set_token(token)
            form.new_token = token
            request.new_token = token  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ScrapeToken, post_url_continue: str | None = None
    ) -> HttpResponseBase:
        """Show the token in the answer itself: a redirect would have to keep it in a cookie or the session."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"Scrape token {obj.name}",
            "opts": self.opts,
            "original": obj,
            # The first way is service discovery, which needs no list of targets.
            "snippet": snippets(obj.team.name if obj.team else "all", [])[0],
            "token_file": TOKEN_FILE,
            "token": request.new_token,  # type: ignore[attr-defined]
            "is_popup": IS_POPUP_VAR in request.POST,
            "address": settings.HUB_EXTERNAL_URL,
            "example": obj.namespaces.first()
            or (obj.team.namespaces if obj.team else Namespace.objects).first(),
        }
        response = TemplateResponse(request, "admin/exporters/token_created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke the selected tokens", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: "QuerySet[ScrapeToken]") -> None:
        # One of hub.yaml too: the file can't bring it back.
        tokens = list(access.changeable(request.user, queryset).filter(revoked_at=None))
        for token in tokens:
            token.revoke("revoked in the admin")
        names = ", ".join(token.name for token in tokens) or "none was usable"
        self.message_user(request, f"Revoked: {names}. Prometheus gets 401 with them from now on.")

    @admin.display(description="state")
    def state(self, token: ScrapeToken) -> str:
        if token.revoked_at is not None:
            return "revoked"
        return "usable" if token.is_usable() else "expired"

    @admin.display(description="last used", ordering="last_used_at")
    def last_used(self, token: ScrapeToken) -> str:
        return time_tag(token.last_used_at)

    @admin.display(description="made", ordering="created_at")
    def created(self, token: ScrapeToken) -> str:
        return time_tag(token.created_at)
