"""The credential form. Its secrets are write-only; the help text describes each stored one."""

from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from .. import formatting
from ..access import roles
from ..credentials import references
from ..credentials.encryption import SecretUnavailableError
from ..models import Credential, SecretSlot
from .fields import LinesField, SecretField
from .hidden_choices import KeepsHidden
from .pending_secrets import HeldSecrets


def describe_secret(credential: Credential, slot: SecretSlot = SecretSlot.ACTIVE) -> str:
    """Return a description that doesn't reveal the secret: the key's name, its last characters and its age."""
    if not credential.has_secret(f"{slot}secret"):
        needed = slot is SecretSlot.SPARE or "secret" in Credential.Kind(credential.kind).needed
        return "not set" if needed else "not required"
    reference = getattr(credential, f"{slot}secret_reference")
    parts = [f"read from {references.describe(reference)}" if reference else "set"]
    try:
        parts.append(credential.facts(slot).summary)
    except SecretUnavailableError as error:
        return str(error)
    except ValidationError:
        parts.append("not valid for this kind")
    set_at = getattr(credential, f"{slot}secret_set_at")
    if set_at is not None:
        parts.append(f"{formatting.words((timezone.now() - set_at).total_seconds())} old")
    if slot is SecretSlot.SPARE and credential.spare_used_at is not None:
        parts.append(
            f"last used {formatting.relative(credential.spare_used_at)}, because the active one was refused"
        )
    return ", ".join(part for part in parts if part)


class CredentialForm(KeepsHidden):
    secret = SecretField(
        rows=6,
        help_text="The connection string, the client secret, or the certificate with its private key as PEM.",
    )
    certificate_password = SecretField(
        rows=1,
        help_text="Only for a certificate with an encrypted private key. Enter it together with the certificate.",
    )
    spare_secret = SecretField(
        rows=6,
        help_text="The other key, or the new secret or certificate. Used while the active one is refused.",
    )
    spare_certificate_password = SecretField(
        rows=1, help_text="Only for a certificate with an encrypted private key."
    )

    hosts = LinesField(required=False, help_text=Credential._meta.get_field("hosts").help_text)

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
            "hosts",
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
        for slot in SecretSlot:
            field = self.fields.get(f"{slot}secret")
            if self.instance.pk and field is not None:
                field.help_text = format_html(
                    "{} Now: {}.{}",  # escaped: users enter key names, and help texts are HTML
                    field.help_text,
                    describe_secret(self.instance, slot),
                    " Leave empty to keep it." if self.instance.has_secret(f"{slot}secret") else "",
                )
        kind_field: Any = self.fields.get("kind")
        if kind_field is not None and not roles.is_platform_administrator(self.request.user):
            kind_field.choices = [
                (kind.value, kind.label) for kind in Credential.Kind if not kind.is_platforms
            ]

    def clean(self) -> dict[str, Any]:
        """Keep the stored secret if none was entered, unless the kind changed."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        kind = cleaned.get("kind")
        if kind not in Credential.Kind.values:
            kind = self._stored_kind
        possible = Credential.Kind(kind).possible
        moved = kind != self._stored_kind
        for slot in SecretSlot:
            entered = cleaned.get(f"{slot}secret")
            for name in (f"{slot}secret", f"{slot}certificate_password"):
                dropped = name not in possible or (moved and slot is SecretSlot.SPARE)
                if entered or cleaned.get(name) or dropped:
                    setattr(self.instance, f"{name}_reference", {})
                elif not moved:
                    cleaned[name] = self._stored[name]
        if moved and "secret" in possible and self._stored["secret"] and not cleaned.get("secret"):
            self.add_error(
                "secret", "Enter a secret for the new kind; the stored one is of a different kind."
            )
        return cleaned

    def forget_held(self) -> None:
        """Remove this form's held secrets from the session, now that they are stored."""
        for name in Credential.SECRET_FIELDS:
            handle = self.data.get(f"{name}_held")
            if handle:
                HeldSecrets(self.request.session).drop(handle)
