"""What surrounds every request: its id; and the short way of scrapes, service discovery and probes."""

import re
import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from .logs import request_id

# What a proxy in front may hand on; anything else could forge lines in the log.
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


class RequestId:
    """Gives each request an id, or keeps the proxy's: in its log lines and in the answer, as X-Request-ID."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        current = given if _ACCEPTABLE_ID.fullmatch(given) else secrets.token_hex(8)
        token = request_id.set(current)
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-ID"] = current
        return response


class MachineEndpoints:
    """Answers the machine endpoints before the web's middleware.

    They have no session, no form and no page, so nothing there protects them; and they are asked under
    addresses that no list of allowed hosts can know (a pod's own, from a kubelet or from Prometheus).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            match = resolve(request.path_info, urlconf="exporters.urls")
        except Resolver404:
            return self.get_response(request)
        request.resolver_match = match
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return response
