"""Bulk actions in the list of namespaces."""

from collections.abc import Callable, Iterable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from ..access import roles
from ..models import Namespace
from ..pages import actions as namespace_actions
from .base import HubAdmin

Action = Callable[[Iterable[Namespace]], list[namespace_actions.ActionResult]]


class NamespaceActions(HubAdmin):
    """Adds the bulk actions to the namespace admin."""

    actions = ("test", "scrape_now", "pause", "resume", "clear_cache")

    @admin.action(description="Test: read once and show what is wrong", permissions=["view"])
    def test(self, request: HttpRequest, queryset: "QuerySet[Namespace]") -> None:
        self._do(request, queryset, namespace_actions.test, "Tested")

    @admin.action(description="Scrape now", permissions=["view"])
    def scrape_now(self, request: HttpRequest, queryset: "QuerySet[Namespace]") -> None:
        self._do(request, queryset, namespace_actions.scrape_now, "Scraped")

    @admin.action(
        description="Pause: return 404 to scrapes and omit from service discovery", permissions=["view"]
    )
    def pause(self, request: HttpRequest, queryset: "QuerySet[Namespace]") -> None:
        self._do(request, queryset, namespace_actions.pause, "Paused")

    @admin.action(description="Resume", permissions=["view"])
    def resume(self, request: HttpRequest, queryset: "QuerySet[Namespace]") -> None:
        self._do(request, queryset, namespace_actions.resume, "Resumed")

    @admin.action(description="Clear the cache: the next scrape reads everything again", permissions=["view"])
    def clear_cache(self, request: HttpRequest, queryset: "QuerySet[Namespace]") -> None:
        self._do(request, queryset, namespace_actions.clear_cache, "Cleared")

    def _do(self, request: HttpRequest, queryset: "QuerySet[Namespace]", action: Action, done: str) -> None:
        chosen = list(queryset.select_related("team", "credential").order_by("name"))
        allowed = set(roles.changeable(request.user, queryset.order_by()).values_list("pk", flat=True))
        outcomes = action([namespace for namespace in chosen if namespace.pk in allowed])
        outcomes += [
            namespace_actions.ActionResult(
                namespace.name, ok=False, problem="requires the editor role in its team"
            )
            for namespace in chosen
            if namespace.pk not in allowed
        ]
        level = messages.SUCCESS if all(outcome.ok for outcome in outcomes) else messages.WARNING
        self.message_user(request, f"{done}: {namespace_actions.report(outcomes)}.", level)
