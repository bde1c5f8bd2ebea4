"""Connection tests on pages: streamed step by step for scripts, otherwise rendered with the page."""

import json
from collections.abc import Iterator

from django import forms
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.loader import render_to_string

from ..configuration.targets import Target
from ..connection_test import run

# The header of requests from connection_test.js.
_HEADER = "X-Follow"
_TYPE = "application/x-ndjson"


def is_followed(request: HttpRequest) -> bool:
    """Return whether the request comes from a script that reads a streamed response."""
    return _HEADER in request.headers


def stream(target: Target) -> StreamingHttpResponse:
    """Stream a line of JSON per step as it ends, {"step": html}, and a final one, {"result": html, "ok": ...}."""
    response = StreamingHttpResponse(_lines(target), content_type=_TYPE)
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx would buffer the response
    return response


def refused(form: forms.Form) -> HttpResponse:
    """Return the form's errors, which the user must fix before a test, in the format of `stream`."""
    html = render_to_string("admin/exporters/connection_test_refused.html", {"form": form})
    return HttpResponse(json.dumps({"result": html, "ok": None}) + "\n", content_type=_TYPE)


def _lines(target: Target) -> Iterator[str]:
    for event in run.follow(target):
        if isinstance(event, run.Step):
            said: dict[str, object] = {
                "step": render_to_string("admin/exporters/connection_test_step.html", {"step": event})
            }
        else:
            said = {
                "result": render_to_string(
                    "admin/exporters/connection_test_result.html", {"connection_test": event}
                ),
                "ok": event.ok,
            }
        yield json.dumps(said) + "\n"
