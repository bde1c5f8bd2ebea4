"""The landing page."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Show what the hub is and where to go. Name no target, because anyone may read this page."""
    return render(request, "landing.html", {"version": settings.HUB_VERSION})
