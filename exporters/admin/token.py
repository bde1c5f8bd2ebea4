"""The pages for scrape tokens, which the hub generates and shows once."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.options import IS_POPUP_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from ..discovery.snippets import TOKEN_FILE, snippets
from ..formatting import time_tag
from ..models import Namespace, ScrapeToken
from ..models.bearer import Scope
from .bearer import BearerAdmin, BearerForm
from .team_filter import TeamFilter


class TokenForm(BearerForm):
    class Meta:
        model = ScrapeToken
        fields = ("name", "team", "scope", "namespaces", "expires_at")

    def clean(self) -> dict[str, Any]:
        chosen = list(self.cleaned_data.get("namespaces") or ())
        cleaned = super().clean()
        team = cleaned.get("team", self.instance.team if self.instance.team_id else None)
        kept = set(self.instance.namespaces.all()) if self.instance.pk else set()
        strange = [
            each for each in chosen if team is not None and each.team_id != team.pk and each not in kept
        ]
        if strange:
            names = ", ".join(f"“{namespace}”" for namespace in strange)
            self.add_error("namespaces", f"Not in team “{team}”: {names}.")
        elif "scope" in cleaned and cleaned["scope"] != Scope.LISTED:
            if chosen:
                self.add_error(
                    "namespaces", f"Clear this list, or choose “{Scope.LISTED.label}” to allow only these."
                )
            cleaned["namespaces"] = []
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
class TokenAdmin(BearerAdmin):
    form = TokenForm
    created_template = "admin/exporters/token_created.html"
    revoked_means = "Prometheus is refused (401)."
    list_display = ("name", "opened", "prefix", "state", "last_used", "source")
    list_select_related = ("team",)
    list_filter = (StateFilter, TeamFilter, "source")
    search_fields = ("name", "team__name", "prefix", "namespaces__name")
    # A search must not reveal the name of a listed namespace that has moved to another team.
    administrators_search_fields = ("namespaces__name",)
    autocomplete_fields = ("team", "namespaces")
    fieldsets = (
        (
            None,
            {
                "fields": ("name", "team", "scope", "namespaces", "expires_at"),
                "description": "The hub creates the token and shows it once.",
            },
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return super().get_fieldsets(request, obj)
        shown = ("prefix", "state", "created", "last_used", "last_used_address")
        # Django's read-only field would name a namespace that has moved to another team.
        namespaces = "namespaces" if self.has_change_permission(request, obj) else "limited_to"
        return (
            (None, {"fields": ("name", "team", "scope", namespaces, "expires_at")}),
            ("Token", {"fields": shown, "description": "The hub stores only a hash of it."}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        # Access to another team's namespaces requires a new token.
        return ("team", "limited_to", "prefix", "state", "created", "last_used", "last_used_address")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ScrapeToken]":
        found: QuerySet[ScrapeToken] = super().get_queryset(request)
        return found.prefetch_related("namespaces")

    def created_context(self, request: HttpRequest, obj: ScrapeToken, secret: str) -> dict[str, Any]:
        return {
            "token": secret,
            "token_file": TOKEN_FILE,
            # The first snippet is for service discovery, which needs no list of targets.
            "snippet": snippets(obj.team.name if obj.team else "all", [])[0],
            "is_popup": IS_POPUP_VAR in request.POST,
            "address": settings.HUB_EXTERNAL_URL,
            "example": _opened(obj).first(),
        }

    @admin.display(description="namespaces")
    def limited_to(self, token: ScrapeToken) -> str:
        if token.scope != Scope.LISTED:
            return "-"
        return ", ".join(str(each) for each in token.listed()) or "none: no access"

    @admin.display(description="last used", ordering="last_used_at")
    def last_used(self, token: ScrapeToken) -> str:
        return time_tag(token.last_used_at)


def _opened(token: ScrapeToken) -> "QuerySet[Namespace]":
    match token.scope:
        case Scope.ALL_TEAMS:
            return Namespace.objects.all()
        case Scope.TEAM:
            return Namespace.objects.filter(team=token.team_id)
    return Namespace.objects.filter(pk__in=[each.pk for each in token.listed()])
