"""`/metrics/<namespace>` scrapes a namespace on each request. `/metrics` has the hub's own metrics."""

import math

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from ..access.scrape_tokens import grant_for, unauthorized
from ..configuration.reloader import reloader
from ..configuration.targets import Configuration
from ..prometheus.negotiation import accepts_gzip
from ..prometheus.text import compress, negotiate
from ..scraping.scrape import respond
from ..telemetry import internal_errors, metrics


class BadTimeoutError(ValueError):
    """The timeout header isn't a number of seconds above 0."""


def _timeout(request: HttpRequest) -> float | None:
    """Return Prometheus's timeout in seconds, or None without the header.

    Prometheus sends X-Prometheus-Scrape-Timeout-Seconds as a float. Raises BadTimeoutError for anything else.
    """
    header = request.headers.get("X-Prometheus-Scrape-Timeout-Seconds")
    if header is None:
        return None
    try:
        timeout = float(header)
    except ValueError:
        timeout = math.nan
    if not (math.isfinite(timeout) and timeout > 0):
        raise BadTimeoutError(
            "X-Prometheus-Scrape-Timeout-Seconds must be a number of seconds above 0, like 10 or 9.5."
        )
    return timeout


def _plain(text: str, status: int) -> HttpResponse:
    return HttpResponse(text + "\n", status=status, content_type="text/plain; charset=utf-8")


def _configuration() -> Configuration | HttpResponse:
    try:
        return reloader.current()
    except DatabaseError:
        return _plain(
            "The configuration can't be read: the database is unavailable or not migrated (see /-/ready).",
            503,
        )


def _answer(request: HttpRequest, body: bytes, content_type: str) -> HttpResponse:
    headers = {"Vary": "Accept, Accept-Encoding", "Cache-Control": "no-store"}
    with internal_errors.aside("rendering"):
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            body = compress(body)
            headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(body))  # without it, gunicorn would send chunks
    return HttpResponse(body, content_type=content_type, headers=headers)


@require_safe
def namespace(request: HttpRequest, name: str) -> HttpResponse:
    """Scrape a namespace and answer 200 with an exposition (servicebus_up 0 or 1).

    Answers 400 for a bad timeout, 401 without a valid token, 404 for a namespace that the token may not scrape, and 503
    if the configuration can't be read.
    """
    configuration = _configuration()
    if isinstance(configuration, HttpResponse):
        return configuration
    grant = grant_for(request, configuration)
    if grant is None:
        return unauthorized()
    target = configuration.targets.get(name)
    # Unknown, paused and other teams' namespaces get the same response, so that it doesn't reveal which ones exist.
    if target is None or not target.enabled or not grant.opens(target):
        return _plain(
            f"This token can't scrape a namespace “{name}”. It may be paused, belong to another team or be "
            "misspelled.",
            404,
        )
    try:
        seconds = target.time_allowed(_timeout(request))
    except BadTimeoutError as error:
        return _plain(str(error), 400)
    answer = respond(target, seconds, request.headers.get("Accept", ""))
    return _answer(request, answer.body, answer.content_type)


@require_safe
def hub(request: HttpRequest) -> HttpResponse:
    """Answer with the hub's own metrics, collected from all worker processes."""
    configuration = _configuration()
    if isinstance(configuration, HttpResponse):
        return configuration
    grant = grant_for(request, configuration)
    if grant is None and not settings.HUB_METRICS_OPEN:
        return unauthorized()
    answer_format = negotiate(request.headers.get("Accept", ""))
    body = answer_format.encode(metrics.registry(configuration, grant))
    return _answer(request, body, answer_format.content_type)
