"""The admin's site: its start page is the list of all targets."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone

from . import access, targets
from .models import Namespace
from .status import State


class HubAdminSite(admin.AdminSite):
    """Django's, in the hub's words."""

    site_header = "Service Bus exporter hub"
    site_title = "Service Bus exporter hub"
    index_title = "Targets"
    # The navigation in the header holds the same links and leaves the width to the tables.
    enable_nav_sidebar = False

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        """All targets of the user's teams, worst first; ?state=, ?q= and ?page= choose among them."""
        state = _state(request.GET.get("state", ""))
        search = request.GET.get("q", "").strip()
        visible = access.visible(request.user, Namespace.objects.all())
        board = targets.board(
            visible, timezone.now(), state=state, search=search, page=_number(request.GET.get("page", ""))
        )
        context = {
            **self.each_context(request),
            "title": self.index_title,
            "board": board,
            "states": list(State),
            "chosen": state,
            "search": search,
            "in_a_team": bool(board.total)
            or access.is_platform_administrator(request.user)
            or access.teams(request.user).exists(),
            **(extra_context or {}),
        }
        request.current_app = self.name
        return TemplateResponse(request, "admin/start.html", context)


def _state(text: str) -> State | None:
    return State(text) if text in {str(each) for each in State} else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1
