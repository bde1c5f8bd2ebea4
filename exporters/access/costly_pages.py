"""Limits on concurrent expensive pages, per user or address and overall.

A worker process reserves 24 threads for requests other than scrapes. Without a limit, one user's previews, exports and
tests could take all of them, and all CPU time of the process.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string

from ..concurrency_limit import ConcurrencyLimit, Full
from .rate_limit import client_address, network

# Maximum number of concurrent requests in one worker process.
MAX_COSTLY_PAGES = 8
MAX_COSTLY_PAGES_OF_A_USER = 3
MAX_SIGN_INS = 8
MAX_SIGN_INS_OF_AN_ADDRESS = 4

_RETRY_SECONDS = "2"
_STATUS = {Full.OWN: 429, Full.ALL: 503}
# Expensive pages requested with GET. Every POST in the admin counts as well.
_COSTLY = {
    "admin:exporters_namespace_entities",
    "admin:exporters_namespace_exposition",
    "admin:exporters_namespace_rules",
    "admin:exporters_import",
    "admin:changes",
}
_SIGN_IN = "admin:login"

pages = ConcurrencyLimit(MAX_COSTLY_PAGES_OF_A_USER, MAX_COSTLY_PAGES)
sign_ins = ConcurrencyLimit(MAX_SIGN_INS_OF_AN_ADDRESS, MAX_SIGN_INS)


class CostlyPages:
    """Middleware that answers 429 or 503 at a limit. It must come after the middleware that sets the user."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        streams = False
        try:
            response = self.get_response(request)
            streams = response.streaming and hasattr(request, "give_place")
            if streams:
                response._resource_closers.append(request.give_place)  # type: ignore[attr-defined]
        finally:
            if not streams and hasattr(request, "give_place"):
                request.give_place()
        return response

    def process_view(self, request: HttpRequest, *args: Any) -> HttpResponse | None:
        places, who = _needed(request)
        if places is None:
            return None
        full = places.take(who)
        if full is not None:
            page = render_to_string("busy.html", {"own": full is Full.OWN})
            return HttpResponse(page, status=_STATUS[full], headers={"Retry-After": _RETRY_SECONDS})
        request.give_place = lambda: places.give(who)  # type: ignore[attr-defined]
        return None


def _needed(request: HttpRequest) -> tuple[ConcurrencyLimit | None, str]:
    """Return the limit that applies to this request, or None, and the user or address that it counts for."""
    name = request.resolver_match.view_name if request.resolver_match else ""
    if name == _SIGN_IN and request.method == "POST":
        return sign_ins, network(client_address(request))
    is_costly = name in _COSTLY or (name.startswith("admin:") and request.method == "POST")
    if is_costly and request.user.is_authenticated:
        return pages, str(request.user.pk)
    return None, ""
