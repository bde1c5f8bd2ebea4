"""Trials on pages: streamed step by step to a script that asks so, else whole with the page."""

import json
from collections.abc import Iterator

from django import forms
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.loader import render_to_string

from ..configuration.targets import Target
from ..connection_test import run

# What trial.js sends with its requests.
_HEADER = "X-Follow"
_TYPE = "application/x-ndjson"


def is_followed(request: HttpRequest) -> bool:
    """Tell whether a script asks, which takes the answer in pieces."""
    return _HEADER in request.headers


def stream(target: Target) -> StreamingHttpResponse:
    """Answer with a line of JSON for each step as it ends: {"step": html}, and at last {"result": html, "ok": ...}."""
    response = StreamingHttpResponse(_lines(target), content_type=_TYPE)
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx would hand it on as a whole
    return response


def refused(form: forms.Form) -> HttpResponse:
    """Answer a script with what must be put right in the form first."""
    html = render_to_string("admin/exporters/trial_refused.html", {"form": form})
    return HttpResponse(json.dumps({"result": html, "ok": None}) + "\n", content_type=_TYPE)


def _lines(target: Target) -> Iterator[str]:
    for event in run.follow(target):
        if isinstance(event, run.Step):
            said: dict[str, object] = {
                "step": render_to_string("admin/exporters/trial_step.html", {"step": event})
            }
        else:
            said = {
                "result": render_to_string("admin/exporters/trial_result.html", {"trial": event}),
                "ok": event.ok,
            }
        yield json.dumps(said) + "\n"
