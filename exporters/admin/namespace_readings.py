"""The pages with a namespace's last reading: its entities and its exposition."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone

from ..access import roles
from ..configuration.derivation import target as target_of
from ..models import Namespace
from ..pages import dashboard, entity_table
from ..pages.search import search_term
from ..scraping import last_reading, scrape
from ..scraping.scrape_records import count_series
from .base import comes_from_file
from .scrape_configs import ScrapeConfigs

# Lines of an exposition that the page shows. It links to the rest.
_LINES = 400
_SORTS = (
    ("worst", "needs attention"),
    ("name", "name"),
    ("active", "active"),
    ("dead_letter", "dead-letter"),
    ("scheduled", "scheduled"),
    ("size", "size"),
    ("accessed", "last access"),
)
_TABS = (("status", "Status"), ("entities", "Entities"), ("exposition", "Exposition"))


class NamespaceReadingPages(ScrapeConfigs):
    """Adds the pages with a namespace's last reading to the namespace admin."""

    def get_urls(self) -> list[URLPattern]:
        own = [
            self.page("<int:object_id>/entities/", self.entities_view, "namespace_entities"),
            self.page("<int:object_id>/exposition/", self.exposition_view, "namespace_exposition"),
        ]
        return [*own, *super().get_urls()]

    def entities_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Show the entities of the last read or, on POST by a user who may change the namespace, of a new one."""
        namespace = self._namespace(request, object_id)
        result = self._reading(request, namespace)
        choice = {
            "search": search_term(request),
            "kind": request.GET.get("kind", ""),
            "sort": request.GET.get("sort", "worst"),
        }
        page = request.GET.get("page")
        table = entity_table.table(result.snapshot, page=page, **choice) if result else None
        context = {
            **self._context(request, namespace, "entities"),
            **choice,
            **last_reading.context(result),
            "table": table,
            "above_limit": result.snapshot.dropped.get("limit", 0) if result else 0,
            "sorts": _SORTS,
        }
        return TemplateResponse(request, "admin/exporters/namespace_entities.html", context)

    def exposition_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Show the last read's result as the exposition that Prometheus gets. `?raw=1` returns all of it as text."""
        namespace = self._namespace(request, object_id)
        result = self._reading(request, namespace)
        body = b""
        if result is not None:
            answer = scrape.exposition(target_of(namespace), result, "")
            body, result = answer.body, answer.result
            if "raw" in request.GET:
                return HttpResponse(
                    body, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"}
                )
        lines = body.decode().splitlines()
        context = {
            **self._context(request, namespace, "exposition"),
            **last_reading.context(result),
            "text": "\n".join(lines[:_LINES]),
            "shown": min(len(lines), _LINES),
            "lines": len(lines),
            "series": count_series(body),
        }
        return TemplateResponse(request, "admin/exporters/namespace_exposition.html", context)

    def _namespace(self, request: HttpRequest, object_id: int) -> Namespace:
        """Return the namespace; raise Http404 if it doesn't exist or the user can't see it."""
        visible = roles.visible(
            request.user, Namespace.objects.select_related("team", "credential", "status")
        )
        return get_object_or_404(visible, pk=object_id)

    def _reading(self, request: HttpRequest, namespace: Namespace) -> scrape.Result | None:
        """Return the newest cached result or, on POST, that of a new read.

        A POST renders the page without a redirect: another worker process, with an older result, could answer the
        redirect.
        """
        target = target_of(namespace)
        if request.method == "POST":
            if not roles.allows(request.user, "change", Namespace, namespace):
                raise PermissionDenied
            return last_reading.read(target)
        return last_reading.last(target)

    def _context(self, request: HttpRequest, namespace: Namespace, tab: str) -> dict[str, Any]:
        may_change = roles.allows(request.user, "change", Namespace, namespace)
        return {
            **self.admin_site.each_context(request),
            "title": namespace.name,
            "subtitle": dict(_TABS)[tab],
            "opts": self.opts,
            "original": namespace,
            "namespace": namespace,
            "tab": tab,
            "state": dashboard.state_of(namespace, timezone.now()),
            "may_change": may_change,
            "may_switch": may_change and not comes_from_file(namespace),
        }
