"""Add a namespace in one form: paste a connection string, test it, and save it with its credential."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from ..access import roles
from ..configuration.derivation import target as target_of
from ..connection_test import run
from ..credentials.tidying import tidied
from ..models import Credential, Namespace, Team
from ..pages.numbers import whole_number
from . import choices, connection_tests, owned_hosts, pasted
from .base import HubAdmin
from .fields import SecretField
from .pending_secrets import HeldSecrets

# The messages about a connection test made before the namespace was saved.
_TESTED = {
    "ok": (messages.SUCCESS, "The connection test passed."),
    "failed": (
        messages.WARNING,
        "The connection test failed. Run “Test” to see what is wrong.",
    ),
}


def _lookup(field: str) -> choices.AutocompleteOfAll:
    return choices.AutocompleteOfAll(Namespace._meta.get_field(field), admin.site)


class NewNamespaceForm(forms.Form):
    """A name, a team, and either a connection string or a stored credential with a host."""

    # Users may leave the name empty to accept the suggestion, so browsers must not require it.
    use_required_attribute = False

    connection_string = SecretField(
        rows=3,
        help_text="In the Azure portal: the namespace > Shared access policies > a policy with Manage > Primary "
        "connection string. It is encrypted when saved and never shown again.",
    )
    host = forms.CharField(
        required=False,
        max_length=255,
        help_text="For example payments-prod.servicebus.windows.net. If empty, taken from the credential's "
        "connection string.",
    )
    credential = choices.adapt(
        choices.CredentialChoice(
            Credential.objects.none(), required=False, empty_label="Choose one", widget=_lookup("credential")
        )
    )
    name = forms.CharField(
        max_length=63,
        help_text="Lowercase letters, digits and hyphens. The metrics path is /metrics/ followed by this name.",
    )
    team = choices.adapt(
        forms.ModelChoiceField(Team.objects.none(), empty_label=None, widget=_lookup("team"))
    )

    def __init__(self, request: HttpRequest, data: Any = None) -> None:
        super().__init__(data)
        self.request = request
        self.namespace: Namespace | None = None  # set once the form is valid, not saved yet
        self._allowed_host = ""  # added to the credential's hosts once the namespace is saved
        self.reused: Credential | None = None  # the team's credential that already holds the string
        secret: Any = self.fields["connection_string"]
        team: Any = self.fields["team"]
        credential: Any = self.fields["credential"]
        secret.widget.held = HeldSecrets(request.session)
        secret.widget.name = "connection_string"
        team.queryset = roles.teams(request.user, roles.Role.EDITOR).order_by("name").distinct()
        team.initial = team.queryset.first()
        # The choices for the autocomplete.
        offered = roles.selectable(request.user, Namespace, Credential)
        credential.queryset = offered.select_related("team").order_by("name").distinct()

    def clean_connection_string(self) -> str:
        text = str(self.cleaned_data["connection_string"])
        if text:
            # Validate the string whatever other errors there are: nothing works without a usable one.
            pasted.look_at(text)
        return text

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        secret, credential = cleaned.get("connection_string", ""), cleaned.get("credential")
        if secret and credential is not None:
            self.add_error("credential", "Paste a connection string or choose a credential, not both.")
        elif not secret and credential is None and not self.has_error("credential"):
            if not self.has_error("connection_string"):
                self.add_error("connection_string", "Paste a connection string or choose a credential below.")
            if not self.data.get("name", "").strip():
                self.errors.pop("name", None)  # a valid string suggests a name
        team = cleaned.get("team")
        if self.errors or team is None:
            return cleaned
        if secret:
            credential = self._credential(secret, team)
        if credential is not None:
            self._build(cleaned, team, credential)
        return cleaned

    def _credential(self, secret: str, team: Team) -> Credential | None:
        """Return the team's credential that holds the string or a new, unsaved one; None if the string is invalid."""
        self.reused = pasted.stored_as(secret, team)
        if self.reused is not None:
            return self.reused
        credential = Credential(
            name=pasted.free_credential_name(self.cleaned_data["name"], team), team=team, secret=secret
        )
        try:
            credential.clean()
        except ValidationError as error:
            self.add_error("connection_string", [str(message) for message in error.messages])
            return None
        return credential

    def _build(self, cleaned: dict[str, Any], team: Team, credential: Credential) -> None:
        namespace = Namespace(name=cleaned["name"], team=team, host=cleaned["host"], credential=credential)
        self._allowed_host = owned_hosts.allow(self.request.user, credential, cleaned["host"])
        # The field's validation would reject an unsaved credential.
        skipped: set[str] = {"credential"} if credential.pk is None else set()
        try:
            namespace.clean_fields(exclude=skipped)
            namespace.clean()
            namespace.validate_unique(exclude=skipped)
        except ValidationError as error:
            for name, errors in error.message_dict.items():
                self.add_error(name if name in self.fields else None, [str(message) for message in errors])
            return
        self.namespace = namespace

    def may_store(self) -> bool:
        """Return whether the user may save the namespace; if not, add the reason as an error."""
        assert self.namespace is not None  # noqa: S101 - called on a valid form
        credential, team = self.namespace.credential, self.namespace.team
        if credential is None or credential.pk or _is_owner(self.request, team):
            return True
        self.add_error(
            "connection_string",
            f"Only owners of team {team} can store a connection string. Ask an owner, or choose one of the team's "
            "credentials below.",
        )
        return False

    def save(self) -> Namespace | None:
        """Save the namespace, and its credential if that is new, in one transaction.

        Returns None, with an error at the field, if another request took the name after validation.
        """
        assert self.namespace is not None  # noqa: S101 - called on a valid form
        try:
            with transaction.atomic():
                credential = self.namespace.credential
                if credential is not None and credential.pk is None:
                    credential.save()
                    self.namespace.credential = credential
                self.namespace.save()
                if credential is not None and self._allowed_host:
                    credential.allow_host(self._allowed_host)
        except IntegrityError:
            self.add_error("name", "This name has just been taken. Choose a different one.")
            return None
        handle = self.data.get("connection_string_held")
        if handle:
            HeldSecrets(self.request.session).drop(handle)
        return self.namespace


class NamespaceNew(HubAdmin):
    """Adds the page for a new namespace to the namespace admin."""

    def get_urls(self) -> list[URLPattern]:
        return [self.page("new/", self.new_view, "namespace_new"), *super().get_urls()]

    @method_decorator(sensitive_post_parameters("connection_string"))
    def new_view(self, request: HttpRequest) -> HttpResponseBase:
        """Show the form. On POST, `do` is the action: parse (for the script), test or save."""
        if not roles.allows(request.user, "add", Namespace):
            raise PermissionDenied
        what = str(request.POST.get("do", "")) if request.method == "POST" else ""
        if what == "parse":
            return _parsed(request)
        form = NewNamespaceForm(request, _with_name(request.POST) if what else None)
        tested: run.ConnectionTest | None = None
        if what and form.is_valid() and form.namespace is not None:
            if what == "test":
                target = target_of(form.namespace)
                if connection_tests.is_followed(request):
                    return connection_tests.stream(target)
                tested = run.run(target)
            elif form.may_store() and (namespace := form.save()) is not None:
                return self._stored(request, form, namespace)
        context = {
            **self.admin_site.each_context(request),
            "title": "Add a namespace",
            "opts": self.opts,
            "form": form,
            "may_add_a_team": roles.allows(request.user, "add", Team),
            "connection_test": tested,
            "pasted": _facts(form) if what else None,
            "tested": "" if tested is None else "ok" if tested.ok else "failed",
        }
        if what and connection_tests.is_followed(request):
            return connection_tests.refused(form)
        return TemplateResponse(request, "admin/exporters/namespace_new.html", context)

    def _stored(self, request: HttpRequest, form: NewNamespaceForm, namespace: Namespace) -> HttpResponseBase:
        self.log_addition(request, namespace, [{"added": {}}])
        level, said = _TESTED.get(
            str(request.POST.get("tested")), (messages.SUCCESS, "It has not been tested.")
        )
        words = f"Namespace {namespace} saved. {said}"
        if form.reused is not None:
            words += f" It uses the credential {form.reused}, which has the same connection string."
        self.message_user(request, words, level)
        return HttpResponseRedirect(reverse("admin:exporters_namespace_status", args=[namespace.pk]))


def _is_owner(request: HttpRequest, team: Team) -> bool:
    return roles.teams(request.user, roles.Role.OWNER).filter(pk=team.pk).exists()


def _with_name(data: Any) -> Any:
    """Return the posted data, with the suggested name if none was entered."""
    if data.get("name", "").strip() or not data.get("connection_string", "").strip():
        return data
    try:
        name = pasted.look_at(tidied(data["connection_string"])).name
    except ValidationError:
        return data  # the field reports the error
    filled = data.copy()
    filled["name"] = name
    return filled


def _facts(form: NewNamespaceForm) -> pasted.Pasted | None:
    secret = form.cleaned_data.get("connection_string") if hasattr(form, "cleaned_data") else ""
    try:
        return pasted.look_at(secret) if secret else None
    except ValidationError:
        return None


def _parsed(request: HttpRequest) -> JsonResponse:
    """Return the facts of a pasted connection string to the script, as JSON."""
    text = tidied(str(request.POST.get("connection_string", "")))
    if not text:
        return JsonResponse({"html": "", "name": ""})
    try:
        found = pasted.look_at(text)
    except ValidationError as error:
        return JsonResponse({"error": " ".join(error.messages)})
    teams = roles.teams(request.user, roles.Role.EDITOR)
    chosen = whole_number(request.POST.get("team", ""))
    team = teams.filter(pk=chosen).first() if chosen is not None else None
    context = {"pasted": found, "stored": pasted.stored_as(text, team) if team is not None else None}
    return JsonResponse(
        {"html": render_to_string("admin/exporters/pasted.html", context), "name": found.name}
    )
