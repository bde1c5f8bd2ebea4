"""Credentials: their secrets go in and never come out."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.debug import sensitive_post_parameters

from .. import access, moments, references
from ..models import Credential, Namespace
from ..secrets import SecretUnavailableError
from ..status import state_of
from .base import SourceFilter
from .fields import SecretField
from .grants import GrantsInline
from .held import HeldSecrets
from .spare_slot import SpareSlot


def describe_secret(credential: Credential, slot: str = "") -> str:
    """Return what may be said of a credential's secret: which key it is, how it ends, how old it is."""
    if not credential.has_secret(f"{slot}secret"):
        if slot:
            return "not set"
        return "not set" if "secret" in Credential.FIELDS[credential.kind][0] else "none needed"
    reference = getattr(credential, f"{slot}secret_reference")
    parts = [f"read from {references.describe(reference)}" if reference else "set"]
    try:
        parts.append(credential.facts(slot).summary)
    except SecretUnavailableError as error:
        return str(error)
    except ValidationError:
        parts.append("not usable with this kind")
    set_at = getattr(credential, f"{slot}secret_set_at")
    if set_at is not None:
        parts.append(f"{moments.words((timezone.now() - set_at).total_seconds())} old")
    if slot and credential.spare_used_at is not None:
        parts.append(
            f"last needed {moments.relative(credential.spare_used_at)}, as the active one was refused"
        )
    return ", ".join(part for part in parts if part)


class CredentialForm(forms.ModelForm):  # type: ignore[type-arg]
    secret = SecretField(
        rows=6,
        help_text="The connection string, the client secret, or the certificate with its private key as PEM.",
    )
    certificate_password = SecretField(
        rows=1, help_text="Only for a certificate whose private key is encrypted; enter both together."
    )

    spare_secret = SecretField(
        rows=6,
        help_text="The other key, or the new secret or certificate. It is used while the active one is refused.",
    )
    spare_certificate_password = SecretField(
        rows=1, help_text="Only for a certificate whose key is encrypted."
    )

    request: HttpRequest  # set by the admin

    class Meta:
        model = Credential
        fields = (
            "name",
            "team",
            "kind",
            "secret",
            "certificate_password",
            "expires_at",
            "spare_secret",
            "spare_certificate_password",
            "spare_expires_at",
            "tenant_id",
            "client_id",
            "authority",
            "token_file",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored = {name: getattr(self.instance, name) for name in Credential.SECRET_FIELDS}
        self._stored_kind = self.instance.kind
        for name in Credential.SECRET_FIELDS:
            field = self.fields.get(name)
            if field is not None:
                field.widget.held = HeldSecrets(self.request.session)
                field.widget.name = name
        for slot in ("", "spare_"):
            field = self.fields.get(f"{slot}secret")
            if self.instance.pk and field is not None:
                field.help_text = format_html(
                    "{} Now: {}.{}",  # escaped: the key's name was typed by somebody, and help texts are HTML
                    field.help_text,
                    describe_secret(self.instance, slot),
                    " Leave the input empty to keep it." if self.instance.has_secret(f"{slot}secret") else "",
                )
        kind_field: Any = self.fields.get("kind")
        if kind_field is not None and not access.is_platform_administrator(self.request.user):
            kind_field.choices = [
                choice for choice in Credential.Kind.choices if choice[0] not in Credential.PLATFORM_KINDS
            ]

    def clean(self) -> dict[str, Any]:
        """Put the stored secret where none was entered, unless it can't go with what was."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        kind = cleaned.get("kind")
        if kind not in Credential.FIELDS:
            kind = self._stored_kind
        possible = set().union(*Credential.FIELDS[kind])
        self._keep_spare(cleaned, kind, possible)
        entered = bool(cleaned.get("secret"))
        moved = bool(self.instance.pk) and kind != self._stored_kind
        if "secret" not in possible:
            self.instance.secret_reference = {}
        if moved and not entered and self._stored["secret"] and "secret" in possible:
            self.add_error("secret", "Enter the secret for the new kind; the stored one is of another kind.")
        if not entered and "secret" in possible and not moved:
            cleaned["secret"] = self._stored["secret"]
        if (
            not entered
            and not moved
            and not cleaned.get("certificate_password")
            and "certificate_password" in possible
        ):
            cleaned["certificate_password"] = self._stored["certificate_password"]
        return cleaned

    def _keep_spare(self, cleaned: dict[str, Any], kind: str, possible: set[str]) -> None:
        """Keep the stored spare secret where none was entered; one of another kind is of no use any more."""
        if kind != self._stored_kind or "spare_secret" not in possible:
            for name in Credential.SLOT:
                setattr(self.instance, f"spare_{name}_reference", {})
            return
        if not cleaned.get("spare_secret"):
            for name in ("spare_secret", "spare_certificate_password"):
                if not cleaned.get(name):
                    cleaned[name] = self._stored[name]

    def forget_held(self) -> None:
        """Take what was held for this form out of the session: it is stored now."""
        for name in Credential.SECRET_FIELDS:
            handle = self.data.get(f"{name}_held")
            if handle:
                HeldSecrets(self.request.session).drop(handle)


class ExpiryFilter(admin.SimpleListFilter):
    """Either secret: a spare one that has expired is of no help when it is needed."""

    title = "expiry"
    parameter_name = "expiry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("over", "expired"), ("soon", "within 30 days"), ("later", "later"), ("unknown", "not known")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Credential]") -> "QuerySet[Credential]":
        now = timezone.now()
        soon = now + timedelta(days=30)
        over = Q(expires_at__lte=now) | Q(spare_expires_at__lte=now)
        near = Q(expires_at__gt=now, expires_at__lte=soon) | Q(
            spare_expires_at__gt=now, spare_expires_at__lte=soon
        )
        match self.value():
            case "over":
                return queryset.filter(over)
            case "soon":
                return queryset.filter(near)
            case "later":
                return queryset.filter(Q(expires_at__gt=soon) | Q(spare_expires_at__gt=soon)).exclude(
                    over | near
                )
            case "unknown":
                return queryset.filter(expires_at=None, spare_expires_at=None)
        return queryset


@admin.register(Credential)
class CredentialAdmin(SpareSlot):
    form = CredentialForm
    change_form_template = "admin/exporters/credential/change_form.html"
    ordering = ("name",)  # the counts below would lose the model's own
    list_display = ("name", "team", "kind_shown", "secret_state", "expires", "used_by")
    list_select_related = ("team",)
    list_filter = (
        "kind",
        ("team", admin.RelatedOnlyFieldListFilter),
        ExpiryFilter,
        SourceFilter,
    )
    search_fields = ("name", "team__name", "tenant_id", "client_id", "namespaces__name")
    autocomplete_fields = ("team",)
    fieldsets = (
        (None, {"fields": ("name", "team", "kind")}),
        (
            "Secret",
            {
                "fields": ("secret", "certificate_password", "expires_at"),
                "description": "Encrypted when it is saved. Nobody can read it here again.",
            },
        ),
        (
            "Spare secret",
            {
                "fields": ("spare_secret", "spare_certificate_password", "spare_expires_at"),
                "description": "To change the secret without a gap: enter the new one here and save, test it with "
                "the button above, promote it, then retire the old one.",
            },
        ),
        (
            "Entra ID",
            {
                "fields": ("tenant_id", "client_id", "authority", "token_file"),
                "description": "For every kind but the connection string.",
            },
        ),
    )

    @method_decorator(sensitive_post_parameters(*Credential.SECRET_FIELDS))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = super().changeform_view(request, *args, **kwargs)
        return response

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Credential]":
        found: QuerySet[Credential] = super().get_queryset(request)
        # Of a platform's identity a member sees how many of the own teams' namespaces use it.
        mine = Q(namespaces__team__in=access.teams(request.user))
        return found.annotate(namespace_count=Count("namespaces", filter=mine, distinct=True))

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        return (GrantsInline,) if obj is not None and obj.team_id is None else ()

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        if access.is_platform_administrator(request.user):
            return self.search_fields
        # A platform's identity must not be found by the namespaces of other teams that use it.
        return tuple(name for name in self.search_fields if not name.startswith("namespaces"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            # Read-only fields are shown as they are stored, which for a secret would be its ciphertext.
            return [
                (title, {**options, "fields": _without_secrets(options["fields"])})
                for title, options in super().get_fieldsets(request, obj)
            ]
        return super().get_fieldsets(request, obj)

    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:
        for name in Credential.SECRET_FIELDS:
            if isinstance(getattr(obj, name), str) and getattr(obj, name):
                setattr(obj, f"{name}_reference", {})
        super().save_model(request, obj, form, change)
        form.forget_held()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show beside the form what the secret is, and which namespaces would notice a change of it."""
        seen = access.visible(request.user, Credential.objects.all())
        credential = seen.filter(pk=object_id).first() if object_id.isdigit() else None
        context = dict(extra_context or {})
        if credential is not None:
            using = Namespace.objects.filter(credential=credential).select_related("status", "team")
            context["has_spare"] = credential.has_secret("spare_secret")
            context["has_main"] = credential.has_secret()
            context["may_test"] = access.allows(request.user, "change", Credential, credential)
            context["secret_state"] = describe_secret(credential)
            context["spare_state"] = describe_secret(credential, "spare_")
            context["used_by"] = [
                (namespace, state_of(namespace, timezone.now()))
                for namespace in access.visible(request.user, using).distinct().order_by("name")
            ]
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    @admin.display(description="secret")
    def secret_state(self, credential: Credential) -> str:
        return describe_secret(credential)

    @admin.display(description="spare secret")
    def spare_state(self, credential: Credential) -> str:
        return describe_secret(credential, "spare_")

    @admin.display(description="kind", ordering="kind")
    def kind_shown(self, credential: Credential) -> str:
        return credential.get_kind_display().partition(" (")[0]  # the form says the rest

    @admin.display(description="used by", ordering="namespace_count")
    def used_by(self, credential: Credential) -> str:
        count = credential.namespace_count  # type: ignore[attr-defined]
        return "1 namespace" if count == 1 else f"{count} namespaces"

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, credential: Credential) -> str:
        shown = moments.time_tag(credential.expires_at, missing="-")
        if credential.expires_at is not None and credential.expires_at <= timezone.now():
            return format_html("expired {}", shown)
        return shown


def _without_secrets(names: tuple[str, ...]) -> tuple[str, ...]:
    shown = {"secret": "secret_state", "spare_secret": "spare_state"}
    return tuple(shown.get(name, name) for name in names if not name.endswith("certificate_password"))
