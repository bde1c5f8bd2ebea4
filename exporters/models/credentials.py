"""Credentials: how the hub proves to Service Bus who it is."""

import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from simple_history.models import HistoricalRecords

from .. import material, references
from ..endpoints import endpoint_of
from ..secrets import EncryptedField, Sealed, SecretUnavailableError, describe, fingerprint, reveal
from ..validators import (
    client_id_validator,
    slug_validator,
    validate_absolute_path,
    validate_authority,
    validate_tenant_id,
)
from .source import source_field
from .teams import Team


class Credential(models.Model):
    class Kind(models.TextChoices):
        CONNECTION_STRING = "connection_string", "Connection string (shared access key or signature)"
        CLIENT_SECRET = "client_secret", "Entra ID application with a client secret"
        CLIENT_CERTIFICATE = "client_certificate", "Entra ID application with a certificate"
        MANAGED_IDENTITY = "managed_identity", "Managed identity of the hub's machine"
        WORKLOAD_IDENTITY = "workload_identity", "Workload identity (federated token file)"

    # For each kind the fields that it needs, and those that it may have. All others must stay empty: a value
    # that has no effect would only mislead.
    FIELDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
        Kind.CONNECTION_STRING: (frozenset({"secret"}), frozenset()),
        Kind.CLIENT_SECRET: (frozenset({"secret", "tenant_id", "client_id"}), frozenset({"authority"})),
        Kind.CLIENT_CERTIFICATE: (
            frozenset({"secret", "tenant_id", "client_id"}),
            frozenset({"authority", "certificate_password"}),
        ),
        Kind.MANAGED_IDENTITY: (frozenset(), frozenset({"client_id"})),
        # What is left empty comes from the pod's environment (AZURE_TENANT_ID and so on), set by the
        # cluster's webhook.
        Kind.WORKLOAD_IDENTITY: (
            frozenset(),
            frozenset({"tenant_id", "client_id", "authority", "token_file"}),
        ),
    }
    SECRET_FIELDS = ("secret", "certificate_password")

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[slug_validator],
        help_text="Lower-case letters, digits and hyphens.",
        error_messages={"unique": "There is already a credential of this name."},
    )
    # Empty for the hub's own identities, which belong to no team.
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="credentials",
        help_text="Whose namespaces may use it. Empty: the namespaces of all teams.",
    )
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.CONNECTION_STRING)
    secret = EncryptedField(
        help_text="The connection string, the client secret, or the certificate with its private key (PEM)."
    )
    # A reference keeps the secret out of the database: {"env": NAME} or {"file": PATH}, read when it is
    # needed.
    secret_reference = models.JSONField(default=dict, blank=True, editable=False)
    secret_fingerprint = models.CharField(max_length=8, blank=True, editable=False)
    secret_set_at = models.DateTimeField(null=True, editable=False)
    certificate_password = EncryptedField(help_text="Only for an encrypted private key.")
    certificate_password_reference = models.JSONField(default=dict, blank=True, editable=False)
    certificate_password_fingerprint = models.CharField(max_length=8, blank=True, editable=False)
    expires_at = models.DateTimeField(
        "expires",
        null=True,
        blank=True,
        help_text="For a client secret: the date that Azure shows. A certificate and a signature say it "
        "themselves.",
    )
    tenant_id = models.CharField(
        "tenant",
        max_length=64,
        blank=True,
        validators=[validate_tenant_id],
        help_text="Directory (tenant) ID.",
    )
    client_id = models.CharField(
        "client",
        max_length=64,
        blank=True,
        validators=[client_id_validator],
        help_text="Application (client) ID; for a managed identity only when it is user-assigned.",
    )
    authority = models.CharField(
        max_length=200,
        blank=True,
        validators=[validate_authority],
        help_text="Login host of a sovereign cloud, for example login.microsoftonline.us. Empty: the public "
        "cloud.",
    )
    token_file = models.CharField(
        max_length=500,
        blank=True,
        validators=[validate_absolute_path],
        help_text="Workload identity: path of the federated token. Empty: AZURE_FEDERATED_TOKEN_FILE.",
    )
    source = source_field()
    created_at = models.DateTimeField(auto_now_add=True)

    history = HistoricalRecords(excluded_fields=["secret", "certificate_password"])

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        for name in self.SECRET_FIELDS:
            value = getattr(self, name)
            if isinstance(value, str) and value:
                self.note_secret(name, value)
            elif not value and not getattr(self, f"{name}_reference"):
                self.note_secret(name, "")
        super().save(*args, **kwargs)

    def note_secret(self, name: str, value: str) -> None:
        """Keep a secret's fingerprint, and since when it is this one, beside it."""
        mark = fingerprint(value) if value else ""
        if mark != getattr(self, f"{name}_fingerprint"):
            setattr(self, f"{name}_fingerprint", mark)
            if name == "secret":
                self.secret_set_at = timezone.now() if value else None

    def has_secret(self, name: str = "secret") -> bool:
        return bool(getattr(self, name) or getattr(self, f"{name}_reference"))

    def reveal_secret(self) -> str:
        """Return the secret in plain text; raise SecretUnavailableError naming the row."""
        return self._reveal("secret")

    def reveal_certificate_password(self) -> str:
        return self._reveal("certificate_password")

    def _reveal(self, name: str) -> str:
        reference = getattr(self, f"{name}_reference")
        if not reference:
            return reveal(self, name)
        try:
            return references.resolve(reference)
        except references.UnresolvedReferenceError as error:
            raise references.UnresolvedReferenceError(f"The secret of {describe(self)}: {error}") from None

    def facts(self) -> material.Facts:
        """Return what may be told of the secret.

        Raises SecretUnavailableError, and ValidationError (keyed by field) for a secret that its kind has no
        use for.
        """
        if not self.has_secret():
            return material.Facts()
        secret = self.reveal_secret()
        try:
            match self.kind:
                case self.Kind.CONNECTION_STRING:
                    return material.examine_connection_string(secret)
                case self.Kind.CLIENT_SECRET:
                    return material.examine_client_secret(secret)
                case self.Kind.CLIENT_CERTIFICATE:
                    return material.examine_certificate(secret, self.reveal_certificate_password())
        except ValidationError as error:
            field = "certificate_password" if error.code == material.PASSWORD else "secret"
            raise ValidationError({field: error}) from None
        return material.Facts()

    def take_expiry(self, facts: material.Facts) -> None:
        """Take over when the secret expires; a client secret doesn't say, so that stays as entered."""
        if self.kind != self.Kind.CLIENT_SECRET:
            self.expires_at = facts.expires_at

    def clean(self) -> None:
        if self.kind not in self.FIELDS:
            return  # the field's own validation has said so
        errors = self._wrong_fields()
        facts = material.Facts()
        if not errors:
            try:
                facts = self.facts()
            except SecretUnavailableError as error:
                errors["secret"] = str(error)
            except ValidationError as error:
                raise error from None
        if errors:
            raise ValidationError(errors)
        self.take_expiry(facts)
        if self.pk:
            self._clean_users(facts)

    def _wrong_fields(self) -> dict[str, str]:
        needed, possible = self.FIELDS[self.kind]
        label = self.Kind(self.kind).label
        errors: dict[str, str] = {}
        for name in ("secret", "certificate_password", "tenant_id", "client_id", "authority", "token_file"):
            given = self.has_secret(name) if name in self.SECRET_FIELDS else bool(getattr(self, name))
            if name in needed and not given:
                errors[name] = f"Needed for this kind: {label}."
            elif given and name not in needed | possible:
                errors[name] = f"Leave this empty, it has no effect with this kind: {label}."
        return errors

    def _clean_users(self, facts: material.Facts) -> None:
        """Refuse what would break a namespace that uses this credential."""
        for namespace in self.namespaces.select_related("team"):
            if self.team_id is not None and namespace.team_id != self.team_id:
                raise ValidationError(
                    {"team": f"Namespace “{namespace}” of team “{namespace.team}” uses this credential."}
                )
            try:
                endpoint_of(namespace.host, facts.connection)
            except ValidationError as error:
                field = "secret" if facts.connection else "kind"
                raise ValidationError(
                    {field: f"Namespace “{namespace}” uses this credential. {' '.join(error.messages)}"}
                ) from None


def is_stored(value: Any) -> bool:
    """Tell whether a secret attribute holds what the database has, and not something newly entered."""
    return isinstance(value, Sealed)
