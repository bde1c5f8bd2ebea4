"""Middleware for every request.

It sets request IDs, limits request sizes, answers scrapes and probes directly, and turns database outages and invalid
input into error pages.
"""

import logging
import re
import secrets
from collections.abc import Callable
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError, ProgrammingError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template import loader
from django.urls import Resolver404, resolve
from django.utils.deprecation import MiddlewareMixin
from django.views.defaults import bad_request

from exporters.access import roles
from exporters.access.scrape_tokens import TooManyGuessesError, too_many_guesses
from exporters.database_sessions.read_only import is_read_only

from .limits import MAX_IMPORT_BYTES, MAX_REQUEST_BYTES
from .logs import request_id

logger = logging.getLogger(__name__)

# Accepted from a proxy in front; anything else could forge log lines.
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


class RequestId:
    """Sets an ID for each request, or keeps the proxy's, in its log lines and in the response header X-Request-ID."""

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


class BoundedBody:
    """Refuses a body that is too large before anything reads it.

    Only the import of hub.yaml accepts more than MAX_REQUEST_BYTES, and only from a platform administrator. This
    middleware must come before the one that checks CSRF tokens, which reads the form.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "Transfer-Encoding" in request.headers:
            # Django would treat the body as empty. Browsers and Prometheus send a Content-Length.
            return _refused(
                "A request body requires a Content-Length; chunked requests are not supported.", 411
            )
        length = _content_length(request)
        if length is None:
            return _refused("The Content-Length is not a number.", 400)
        if length > MAX_IMPORT_BYTES:
            return _too_large(MAX_IMPORT_BYTES)
        if length > MAX_REQUEST_BYTES and not _is_import(request):
            return _too_large(MAX_REQUEST_BYTES)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *args: Any) -> HttpResponse | None:
        if (_content_length(request) or 0) <= MAX_REQUEST_BYTES:
            return None
        return None if roles.is_platform_administrator(request.user) else _too_large(MAX_REQUEST_BYTES)


def _content_length(request: HttpRequest) -> int | None:
    """Return the length of the body in bytes, or None if the header isn't a number."""
    text = str(request.META.get("CONTENT_LENGTH") or "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _is_import(request: HttpRequest) -> bool:
    try:
        return resolve(request.path_info).url_name == "exporters_import"
    except Resolver404:
        return False


def _too_large(most: int) -> HttpResponse:
    return _refused(f"This request is larger than {most:,} bytes, the limit for this address.", 413)


def _refused(text: str, status: int) -> HttpResponse:
    return HttpResponse(text + "\n", status=status, content_type="text/plain; charset=utf-8")


class NoNul(MiddlewareMixin):
    """Answers 400 to a NUL character in the URL or a form: PostgreSQL can neither store it nor search for it."""

    def process_view(self, request: HttpRequest, *args: Any) -> HttpResponse | None:
        for data in (request.GET, request.POST):
            for name, values in data.lists():
                if any("\0" in text for text in (name, *values)):
                    return bad_request(request, SuspiciousOperation("NUL"))
        return None


class MachineEndpoints:
    """Answers the machine endpoints before the middleware for the web.

    They have no session, form or page that it could protect. They are also requested under addresses that can't be
    listed in ALLOWED_HOSTS (a pod's own address, from a kubelet or from Prometheus).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            match = resolve(request.path_info, urlconf="exporters.urls")
        except Resolver404:
            return self.get_response(request)
        request.resolver_match = match
        try:
            response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        except TooManyGuessesError as error:
            response = too_many_guesses(error)
        return response


class DatabaseAway(MiddlewareMixin):
    """Answers 503 with advice if a page finds the database down, read-only or not migrated."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        away = isinstance(exception, InterfaceError | OperationalError | ProgrammingError)
        if not away and not is_read_only(exception):
            return None
        logger.error("%s: the database is down, read-only or not migrated: %s", request.path, exception)
        # Without the request, because the signed-in user is in the database.
        return HttpResponse(loader.render_to_string("503.html"), status=503, headers={"Retry-After": "5"})


class ImpossibleNumbers(MiddlewareMixin):
    """Answers 400 to a number beyond 64 bits: SQLite's driver refuses it, and Django checks only some of its uses."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, OverflowError):
            return None
        logger.warning("%s: %s", request.path, exception, exc_info=exception)
        return bad_request(request, exception)
