"""A namespace's status page, with its actions."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from ..access import roles
from ..configuration.derivation import target as target_of
from ..connection_test import run
from ..models import Namespace, Outcome
from ..pages import actions, dashboard
from ..scraping.scrape_records import KEPT
from . import connection_tests
from .base import HubList
from .namespace_readings import NamespaceReadingPages

_FAILURES = 10


class Namespaces(HubList):
    """The list of namespaces. Each name links to the status page, which links to the settings."""

    def url_for_result(self, result: Any) -> str:
        return reverse("admin:exporters_namespace_status", args=[result.pk])


class NamespaceStatusPage(NamespaceReadingPages):
    """Adds a namespace's status page to the namespace admin."""

    change_form_template = "admin/exporters/namespace/change_form.html"
    object_history_template = "admin/exporters/namespace/object_history.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Namespaces

    def get_urls(self) -> list[URLPattern]:
        own = self.page("<int:object_id>/status/", self.status_view, "namespace_status")
        return [own, *super().get_urls()]

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
