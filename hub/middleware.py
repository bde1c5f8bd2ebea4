"""Scrapes, service discovery and probes go around everything that is there for people."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve


class MachineEndpoints:
    """Answers the machine endpoints before the web's middleware.

    They have no session, no form and no page, so nothing there protects them; and they are asked under addresses that
    no list of allowed hosts can know (a pod's own, from a kubelet or from Prometheus).
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
