"""The secrets of a credential: the active one, and a spare one that can replace it."""

import uuid
from enum import StrEnum
from typing import Any

from django.db import models
from django.utils import timezone

from ..credentials import references
from ..credentials.encryption import EncryptedField, Sealed, describe, fingerprint, reveal


class SecretSlot(StrEnum):
    """One of a credential's two secrets. The value is the prefix of its fields."""

    ACTIVE = ""
    SPARE = "spare_"


SECRET_FIELDS = tuple(f"{slot}{name}" for slot in SecretSlot for name in ("secret", "certificate_password"))


class SecretPair(models.Model):
    """Base of a model with two slots. Azure has two keys, so that one can be regenerated while the other is in use."""

    SECRET_FIELDS = SECRET_FIELDS

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    secret = EncryptedField()
    # No form shows these fields, but they are editable, because the history omits changes to non-editable ones. A
    # reference keeps the secret out of the database: {"env": NAME} or {"file": PATH}, read when it is needed.
    secret_reference = models.JSONField(default=dict, blank=True)
    secret_fingerprint = models.CharField(max_length=8, blank=True)
    secret_set_at = models.DateTimeField(null=True, blank=True)
    certificate_password = EncryptedField()
    certificate_password_reference = models.JSONField(default=dict, blank=True)
    certificate_password_fingerprint = models.CharField(max_length=8, blank=True)
    expires_at = models.DateTimeField(
        "expires",
        null=True,
        blank=True,
        help_text="For a client secret: the date that Azure shows. Read from a certificate or signature "
        "automatically.",
    )
    spare_secret = EncryptedField()
    spare_secret_reference = models.JSONField(default=dict, blank=True)
    spare_secret_fingerprint = models.CharField(max_length=8, blank=True)
    spare_secret_set_at = models.DateTimeField(null=True, blank=True)
    spare_certificate_password = EncryptedField()
    spare_certificate_password_reference = models.JSONField(default=dict, blank=True)
    spare_certificate_password_fingerprint = models.CharField(max_length=8, blank=True)
    spare_expires_at = models.DateTimeField("spare expires", null=True, blank=True)
    spare_used_at = models.DateTimeField("spare last used", null=True, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        for name in SECRET_FIELDS:
            value = getattr(self, name)
            # A Sealed value is unchanged. The secret behind a reference is noted where the reference is set.
            if not isinstance(value, Sealed) and (value or not getattr(self, f"{name}_reference")):
                self.note_secret(name, value)
        super().save(*args, **kwargs)

    def note_secret(self, name: str, value: str) -> None:
        """Set a secret's fingerprint and, if the secret has changed, the time of the change."""
        mark = fingerprint(value) if value else ""
        if mark != getattr(self, f"{name}_fingerprint"):
            setattr(self, f"{name}_fingerprint", mark)
            if hasattr(self, f"{name}_set_at"):
                setattr(self, f"{name}_set_at", timezone.now() if value else None)

    def has_secret(self, name: str = "secret") -> bool:
        return bool(getattr(self, name) or getattr(self, f"{name}_reference"))

    def reveal_secret(self, slot: SecretSlot = SecretSlot.ACTIVE) -> str:
        """Return the plain-text secret; raise SecretUnavailableError, which names the row."""
        return self._reveal(f"{slot}secret")

    def reveal_certificate_password(self, slot: SecretSlot = SecretSlot.ACTIVE) -> str:
        return self._reveal(f"{slot}certificate_password")

    def _reveal(self, name: str) -> str:
        reference = getattr(self, f"{name}_reference")
        if not reference:
            return reveal(self, name)
        try:
            return references.resolve(reference)
        except references.UnresolvedReferenceError as error:
            raise references.UnresolvedReferenceError(f"The secret of {describe(self)}: {error}") from None

    def promote_spare(self) -> None:
        """Swap the spare and the active secret; the caller saves.

        A secret is encrypted for its slot, so each one is decrypted and encrypted again. Raises SecretUnavailableError
        if one can't be read.
        """
        for name, spare in self._paired_fields():
            values = [
                reveal(self, each) if each in SECRET_FIELDS else getattr(self, each) for each in (name, spare)
            ]
            setattr(self, spare, values[0])
            setattr(self, name, values[1])
        self.spare_used_at = None

    def retire_spare(self) -> None:
        """Remove the spare secret; the caller saves."""
        fresh = type(self)()
        for name in ("spare_used_at", *(spare for _, spare in self._paired_fields())):
            setattr(self, name, getattr(fresh, name))

    def _paired_fields(self) -> list[tuple[str, str]]:
        """Return the names of the fields that both slots have: the active slot's and the spare slot's."""
        names = [field.name for field in self._meta.concrete_fields]
        return [(name, f"spare_{name}") for name in names if f"spare_{name}" in names]
