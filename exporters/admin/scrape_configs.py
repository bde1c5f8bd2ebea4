"""The Prometheus configuration on the page of a namespace or a team."""

from typing import Any

from django.contrib.admin.utils import unquote
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from ..access import roles
from ..configuration.derivation import target as target_of
from ..configuration.label_rules import applying_to, usable_rules
from ..discovery.snippets import TOKEN_FILE, snippets
from ..models import Namespace, ScrapeToken, Team
from .base import HubAdmin

# The most targets in a static configuration; a longer one would be unreadable.
_MOST_STATIC = 20


class ScrapeConfigs(HubAdmin):
    """Adds scrape configurations, and the last use of each token, to an object's page."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, unquote(object_id))
        configs = self._scrape_configs(request, found) if found is not None else None
        context = {**(extra_context or {}), "scrape_configs": configs}
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def _scrape_configs(self, request: HttpRequest, found: Namespace | Team) -> dict[str, Any]:
        team = found.team if isinstance(found, Namespace) else found
        if isinstance(found, Namespace):
            namespaces = Namespace.objects.filter(pk=found.pk)
        else:
            namespaces = roles.visible(request.user, Namespace.objects.filter(team=team, enabled=True))
        shown = list(namespaces.select_related("team", "credential")[:_MOST_STATIC])
        rules = usable_rules(applying_to([team.pk], [each.pk for each in shown]))
        return {
            "snippets": snippets(team.name, [target_of(each, rules) for each in shown]),
            "token_file": TOKEN_FILE,
            "tokens": _tokens(request, team, found if isinstance(found, Namespace) else None),
            "team": team,
        }


def _tokens(request: HttpRequest, team: Team, namespace: Namespace | None) -> "QuerySet[ScrapeToken]":
    """Return the unrevoked tokens that grant access to the object and are visible to the user."""
    # Also omits platform tokens (which have no team) for users who may not see them.
    found = roles.visible(request.user, ScrapeToken.objects.filter(revoked_at=None))
    listed = Q(namespaces__team=team) if namespace is None else Q(namespaces=namespace)
    opening = (
        Q(scope=ScrapeToken.Scope.ALL_TEAMS)
        | Q(scope=ScrapeToken.Scope.TEAM, team=team)
        | Q(Q(team=team) | Q(team=None), listed, scope=ScrapeToken.Scope.LISTED)
    )
    found = found.filter(opening).select_related("team").prefetch_related("namespaces")
    return found.distinct().order_by("team__name", "name")
