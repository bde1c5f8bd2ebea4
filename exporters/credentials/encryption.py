"""Secrets at rest: the key ring, and the model field that encrypts.

Values are encrypted with Fernet under the first key in HUB_ENCRYPTION_KEYS and decrypt under any of them. Each value is
bound to its row and column and doesn't decrypt in another row, so someone who can write to the database can't make the
hub send one team's key to another team's host. Reading a value that can't be decrypted raises an error; it
never returns ciphertext.
"""

import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from .key_file import KeyFile

if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField

_BINDING_BYTES = 16
_SERIALIZED = "sealed:"


class SecretUnavailableError(Exception):
    """A secret that is currently unavailable; the message names its row and how to fix it."""


class UndecryptableError(SecretUnavailableError):
    """A stored secret that no key in the ring decrypts, or that was moved here from another row."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"The secret of {where} can't be decrypted with HUB_ENCRYPTION_KEYS. Add the key that it was encrypted "
            "with, or enter the secret again."
        )


class Sealed:
    """An encrypted value as stored. It reveals nothing; reading it needs the key ring."""

    __slots__ = ("ciphertext",)

    def __init__(self, ciphertext: str) -> None:
        self.ciphertext = ciphertext

    def __repr__(self) -> str:
        return "<Sealed>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and other.ciphertext == self.ciphertext

    def __hash__(self) -> int:
        return hash(self.ciphertext)


class KeyRing:
    """Encrypts with the first key, decrypts with any of them."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ImproperlyConfigured("HUB_ENCRYPTION_KEYS is empty; it needs at least one key.")
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise ImproperlyConfigured(
                "HUB_ENCRYPTION_KEYS contains an invalid key. A key is 32 random bytes in URL-safe base64; generate "
                "one with `openssl rand -base64 32 | tr +/ -_`."
            ) from None

    def seal(self, plaintext: str, binding: str) -> Sealed:
        return Sealed(self._fernet.encrypt(_digest(binding) + plaintext.encode()).decode("ascii"))

    def open(self, sealed: Sealed, binding: str) -> str:
        """Return the plaintext; raise UndecryptableError for a wrong key, damage or another row's value."""
        try:
            payload = self._fernet.decrypt(sealed.ciphertext)
        except (InvalidToken, ValueError):  # ValueError: not even ASCII
            raise UndecryptableError(binding) from None
        if not hmac.compare_digest(payload[:_BINDING_BYTES], _digest(binding)):
            raise UndecryptableError(binding)
        return payload[_BINDING_BYTES:].decode()


def _digest(binding: str) -> bytes:
    return hashlib.sha256(binding.encode()).digest()[:_BINDING_BYTES]


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> KeyRing:
    return KeyRing(keys)


_key_file = KeyFile(lambda: settings.HUB_READ_ENCRYPTION_KEYS(), _ring)


def key_ring() -> KeyRing:
    """Return the current key ring; the file of keys may have changed."""
    if settings.HUB_ENCRYPTION_KEYS_FILE:
        return _ring(_key_file.keys(settings.HUB_ENCRYPTION_KEYS_FILE, settings.HUB_ENCRYPTION_KEYS))
    return _ring(tuple(settings.HUB_ENCRYPTION_KEYS))


def fingerprint(plaintext: str) -> str:
    """Return eight hex digits that distinguish secrets in the history and reveal nothing about them.

    Keyed, so that someone who can read the history can't test guesses. A new HUB_SECRET_KEY changes all fingerprints.
    """
    return hmac.new(settings.SECRET_KEY.encode(), plaintext.encode(), hashlib.sha256).hexdigest()[:8]


class EncryptedField(_TextField):
    """A text column that stores ciphertext. The model needs a `uid` that is set before the first save.

    Assign a str to set a secret. After loading or saving, the attribute is a Sealed ("" without a secret). Read the
    value with `reveal(instance, field_name)`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("blank", True)
        kwargs.setdefault("default", "")
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Sealed | str:
        return Sealed(value) if value else ""

    def to_python(self, value: Any) -> Any:
        # loaddata passes back what value_to_string wrote. A user who enters such a value in a form gains nothing:
        # ciphertext from another row can't be decrypted in this one.
        if isinstance(value, str) and value.startswith(_SERIALIZED):
            return Sealed(value.removeprefix(_SERIALIZED))
        return value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = getattr(model_instance, self.attname)
        if isinstance(value, str) and value:
            value = key_ring().seal(value, binding(model_instance, self.attname))
            setattr(model_instance, self.attname, value)
        return value

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, Sealed):
            return value.ciphertext
        if value in (None, ""):
            return ""
        # Reached by filter(), update() and the like, which have no row to bind the value to.
        raise TypeError(
            "To store a secret, save its object. Secrets can't be searched for or updated in bulk."
        )

    def value_to_string(self, obj: models.Model) -> str:
        # dumpdata writes the stored value, never the plaintext of an unsaved object.
        value = self.value_from_object(obj)
        return _SERIALIZED + value.ciphertext if isinstance(value, Sealed) else ""


def binding(instance: models.Model, field_name: str) -> str:
    """Return what a row's secret is bound to; errors also use it to name the row."""
    return f"{instance._meta.label_lower} {instance.uid} {field_name}"  # type: ignore[attr-defined]


def reveal(instance: models.Model, field_name: str) -> str:
    """Return the plaintext of a secret, or "" if none is set; raise UndecryptableError naming the row."""
    value = getattr(instance, field_name)
    if isinstance(value, Sealed):
        try:
            return key_ring().open(value, binding(instance, field_name))
        except UndecryptableError:
            raise UndecryptableError(describe(instance)) from None
    return str(value or "")


def describe(instance: models.Model) -> str:
    """Return a row's name for messages, for example: credential “payments” (row 3)."""
    return f"{instance._meta.verbose_name} “{instance}” (row {instance.pk})"
