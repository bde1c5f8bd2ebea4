"""The admin site: who may enter it, and its start page, the list of all targets."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignObjectRel, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils import timezone

from .access import roles
from .models import Credential, Namespace
from .pages import dashboard
from .pages.search import search_term
from .scraping.state import State
from .views.changes import changes


class SignInForm(AdminAuthenticationForm):
    """Lets members of a team sign in. Django's own form requires the staff flag, which roles replace."""

    error_messages = {
        **AdminAuthenticationForm.error_messages,
        "invalid_login": "Wrong username or password. Both are case-sensitive.",
    }

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        if not roles.may_sign_in(user):
            # Only after the correct password, so it reveals nothing to a stranger.
            raise forms.ValidationError(
                "You aren't a member of a team yet. Ask a team owner to add you.", code="no_team"
            )


class Autocomplete(AutocompleteJsonView):
    """Offers the choices that the form accepts."""

    def process_request(self, request: HttpRequest) -> Any:
        term, model_admin, source_field, to_field_name = super().process_request(request)
        if isinstance(source_field, ForeignObjectRel):  # no form uses it, and Django would answer 500
            raise PermissionDenied
        return term, model_admin, source_field, to_field_name

    def has_perm(self, request: HttpRequest, obj: Any = None) -> bool:
        known = roles.is_platform_administrator(request.user) or self.source_field.model in roles.RULES
        return bool(known and super().has_perm(request, obj))

    def get_queryset(self) -> QuerySet[Any]:
        offered: QuerySet[Any] = super().get_queryset()
        source = self.source_field
        choices = roles.selectable(self.request.user, source.model, source.remote_field.model)
        offered = offered.filter(pk__in=choices.order_by().values("pk"))
        return offered.select_related("team") if offered.model is Credential else offered

    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, str]:
        told = super().serialize_result(obj, to_field_name)
        return {**told, "text": obj.name_with_team} if isinstance(obj, Credential) else told


class HubAdminSite(admin.AdminSite):
    """Django's admin site with the hub's names, start page and permissions."""

    site_header = "Service Bus exporter hub"
    site_title = "Service Bus exporter hub"
    index_title = "Targets"
    # The navigation in the header has the same links, and leaves the page's width to the tables.
    enable_nav_sidebar = False
    login_form = SignInForm

    def has_permission(self, request: HttpRequest) -> bool:
        return roles.may_sign_in(request.user)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        # It redirects any user to the URL of any object by its number.
        kept = [url for url in super().get_urls() if getattr(url, "name", "") != "view_on_site"]
        # Before Django's last pattern, which matches every path.
        return [path("changes/", self.admin_view(self.changes_view), name="changes"), *kept]

    def changes_view(self, request: HttpRequest) -> HttpResponse:
        request.current_app = self.name
        return changes(request, self.each_context(request))

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        return cast(HttpResponse, Autocomplete.as_view(admin_site=self)(request))

    def app_index(  # type: ignore[override]  # Django names the response of its own template
        self, request: HttpRequest, app_label: str, extra_context: Any = None
    ) -> HttpResponse:
        """Redirect to the start page: the navigation lists the models, and nothing links here."""
        return redirect("admin:index")

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        """Show all targets of the user's teams, worst first; ?state=, ?q= and ?page= filter them."""
        state = _state(request.GET.get("state", ""))
        search = search_term(request)
        visible = roles.visible(request.user, Namespace.objects.all())
        board = dashboard.board(
            visible, timezone.now(), state=state, search=search, page=request.GET.get("page")
        )
        context = {
            **self.each_context(request),
            "title": self.index_title,
            "board": board,
            "states": list(State),
            "chosen": state,
            "search": search,
            "may_add": roles.allows(request.user, "add", Namespace),
            **(extra_context or {}),
        }
        request.current_app = self.name
        return TemplateResponse(request, "admin/start.html", context)


def _state(text: str) -> State | None:
    return State(text) if text in {str(each) for each in State} else None
