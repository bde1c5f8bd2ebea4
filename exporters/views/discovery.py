"""`/sd`: Prometheus HTTP service discovery of the namespaces that a token has access to."""

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from ..access.scrape_tokens import grant_for, unauthorized
from ..configuration.reloader import reloader
from ..discovery import targets as discovery
from ..telemetry import metrics


@require_safe
def targets(request: HttpRequest) -> HttpResponse:
    """Return the response of _targets, and count it by status."""
    response = _targets(request)
    metrics.DISCOVERY_REQUESTS.labels(str(response.status_code)).inc()
    return response


def _targets(request: HttpRequest) -> HttpResponse:
    """Answer with the whole list of targets, 401 without a valid token, 404 for a team that the token may not see, or
    503 if the configuration can't be read.

    Prometheus keeps its targets if this fails. While the database is away, scrapes go on with the last configuration,
    but discovery doesn't use it, because nobody could tell an outdated list from a current one.
    """
    try:
        configuration = reloader.current()
        problem = reloader.problem()
    except DatabaseError as error:
        problem = str(error)
    if problem:
        return _plain(
            "The list of namespaces can't be read: the database is unavailable (see /-/ready).", 503
        )
    # Prometheus before 2.53 sends the credentials of http_sd_configs without the word Bearer.
    grant = grant_for(request, configuration, bare=True)
    if grant is None:
        return unauthorized()
    team = request.GET.get("team")
    try:
        groups = discovery.groups(configuration, grant, team)
    except discovery.UnknownTeamError:
        return _plain(f"This token can't list namespaces of a team “{team}”.", 404)
    # Prometheus wants exactly application/json, without a charset.
    return JsonResponse(groups, safe=False, headers={"Cache-Control": "no-store"})


def _plain(text: str, status: int) -> HttpResponse:
    return HttpResponse(text + "\n", status=status, content_type="text/plain; charset=utf-8")
