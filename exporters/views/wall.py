"""`/wall/<token>` shows the state of targets on a wall-mounted screen, without a sign-in."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from ..models import WallLink
from ..pages import dashboard

# About as many as are readable from a few metres away. The worst come first.
_TILES = 60


@require_safe
def wall(request: HttpRequest, token: str) -> HttpResponse:
    """Show names, states and reasons; 404 for a token that is unknown, revoked or expired."""
    link = WallLink.opened_by(token)
    if link is None:
        raise Http404
    board = dashboard.board(link.targets(), timezone.now(), page_size=_TILES)
    context = {"board": board, "title": link.team.name if link.team else "All teams", "now": timezone.now()}
    response = render(request, "wall.html", context)
    # The URL is a secret: keep it out of caches, search indexes and other sites' logs.
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response
