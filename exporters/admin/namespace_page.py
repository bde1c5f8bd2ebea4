"""A namespace's pages: its status with its actions, its entities and its exposition."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from ..access import roles
from ..configuration.derivation import target as target_of
from ..connection_test import run
from ..models import Namespace, Outcome
from ..pages import actions, dashboard, entity_table
from ..pages.search import search_term
from ..scraping import last_reading, scrape
from ..scraping.scrape_records import KEPT, count_series
from . import connection_tests
from .base import HubList, comes_from_file
from .scrape_configs import ScrapeConfigs

_FAILURES = 10
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


class Namespaces(HubList):
    """The list of namespaces. Each name links to the status page, which links to the settings."""

    def url_for_result(self, result: Any) -> str:
        return reverse("admin:exporters_namespace_status", args=[result.pk])


class NamespacePage(ScrapeConfigs):
    """Adds a namespace's pages to the namespace admin."""

    change_form_template = "admin/exporters/namespace/change_form.html"
    object_history_template = "admin/exporters/namespace/object_history.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Namespaces

    def get_urls(self) -> list[URLPattern]:
        own = [
            self.page(f"<int:object_id>/{name}/", view, f"namespace_{name}")
            for name, view in (
                ("status", self.status_view),
                ("entities", self.entities_view),
                ("exposition", self.exposition_view),
            )
        ]
        return [*own, *super().get_urls()]

    def status_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Show the status page. On POST, run a button's action: test, scrape, pause, resume or clear."""
        namespace = self._namespace(request, object_id)
        tested: run.ConnectionTest | None = None
        if request.method == "POST":
            if not roles.allows(request.user, "change", Namespace, namespace):
                raise PermissionDenied
            what = str(request.POST.get("do", ""))
            if what == "test":
                if connection_tests.is_followed(request):
                    return connection_tests.stream(target_of(namespace))
                tested = run.run(target_of(namespace))
            else:
                self._act(request, namespace, what)
                return HttpResponseRedirect(request.path)
        records = list(namespace.records.order_by("-at")[:KEPT])
        failures = namespace.records.exclude(outcome=Outcome.SUCCESS).order_by("-at")[:_FAILURES]
        row = dashboard.row(namespace, timezone.now())
        context = {
            **self._context(request, namespace, "status"),
            "summary": row.summary,
            "status": row.status,
            "records": records,
            "failures": failures,
            "endpoint": self.endpoint(namespace),
            "changes": self._changes(request, namespace),
            "connection_test": tested,
            "scrape_configs": self._scrape_configs(request, namespace),
        }
        return TemplateResponse(request, "admin/exporters/namespace_status.html", context)

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

    def _changes(self, request: HttpRequest, namespace: Namespace) -> list[Any]:
        """Return the last changes to the namespace's settings, newest first."""
        records = roles.visible_history(request.user, Namespace.history.filter(id=namespace.pk), Namespace)
        return list(records.order_by("-history_date")[:5])

    def _act(self, request: HttpRequest, namespace: Namespace, what: str) -> None:
        act, done = {
            "scrape": (actions.scrape_now, "Scraped"),
            "pause": (actions.pause, "Paused"),
            "resume": (actions.resume, "Resumed"),
            "clear": (actions.clear_cache, "Cache cleared"),
        }.get(what, (None, ""))
        if act is None:
            raise Http404
        outcome = act([namespace])[0]
        if outcome.ok:
            self.message_user(request, f"{done}: {namespace}.", messages.SUCCESS)
        else:
            words = ". ".join(part for part in (outcome.problem, outcome.detail) if part)
            self.message_user(request, f"{what.capitalize()} failed for {namespace}: {words}", messages.ERROR)

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
