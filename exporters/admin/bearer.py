"""Shared by the pages for scrape tokens and wall links: secrets that the hub generates and shows once."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone

from ..access import roles
from ..formatting import time_tag
from ..models.bearer import BearerSecret, Scope
from .base import HubAdmin
from .hidden_choices import KeepsHidden


class BearerForm(KeepsHidden):
    request: HttpRequest  # set by the admin

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scope: Any = self.fields.get("scope")
        if scope is None:
            return
        if not self.instance.pk:
            self.initial.setdefault("scope", Scope.TEAM)
        # Ruled out by the team, which can't be changed later, or by the user's role.
        impossible = set()
        if self.instance.pk:
            impossible.add(Scope.TEAM if self.instance.team_id is None else Scope.ALL_TEAMS)
        if not roles.is_platform_administrator(self.request.user):
            impossible.add(Scope.ALL_TEAMS)
        scope.choices = [(value, label) for value, label in scope.choices if value not in impossible]

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if "expires_at" in self.changed_data and expires_at is not None and expires_at <= timezone.now():
            raise forms.ValidationError("This time is in the past. To end access now, use “Revoke”.")
        return expires_at


class BearerAdmin(HubAdmin):
    """Generates the secret when an object is added and shows it once. Afterwards, the object can be revoked."""

    actions = ("revoke",)
    radio_fields: ClassVar[dict[str, int]] = {"scope": admin.VERTICAL}
    created_template: str
    revoked_means: str  # what a request with a revoked secret gets

    def created_context(self, request: HttpRequest, obj: Any, secret: str) -> dict[str, Any]:
        """Return additional context for the page that shows the secret."""
        return {}

    def save_model(self, request: HttpRequest, obj: BearerSecret, form: Any, change: bool) -> None:
        if not change:
            secret = obj.generate()
            obj.set_token(secret)
            request.new_secret = secret  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponseBase:
        """Show the secret in this response: a redirect would have to keep it in a cookie or the session."""
        secret: str = request.new_secret  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{str(self.opts.verbose_name).capitalize()} {obj.name}",
            "opts": self.opts,
            "original": obj,
            **self.created_context(request, obj, secret),
        }
        response = TemplateResponse(request, self.created_template, context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke the selected %(verbose_name_plural)s", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        # Objects from hub.yaml too: the file can't restore them.
        chosen = list(roles.changeable(request.user, queryset).filter(revoked_at=None))
        for each in chosen:
            each.revoke("revoked in the admin")
        names = ", ".join(each.name for each in chosen) or "all were already invalid"
        self.message_user(request, f"Revoked: {names}. {self.revoked_means}")

    @admin.display(description="access", ordering="team")
    def opened(self, obj: Any) -> str:
        return str(obj.opens)

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, obj: BearerSecret) -> str:
        return time_tag(obj.expires_at)

    @admin.display(description="created", ordering="created_at")
    def created(self, obj: BearerSecret) -> str:
        return time_tag(obj.created_at)
