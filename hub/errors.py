"""The page for an internal error of the hub."""

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from .logs import request_id


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 with the request ID of the traceback in the log. Ignore the request, which may be the cause."""
    return HttpResponse(render_to_string("500.html", {"request_id": request_id.get()}), status=500)
