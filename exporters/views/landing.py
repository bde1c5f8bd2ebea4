"""The landing page."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Say what this is and where to go; names no target, as anyone may read it."""
    return render(request, "landing.html", {"version": settings.HUB_VERSION})
