"""All stored secrets at once: which of them can't be read, and a new key for them."""

from collections.abc import Iterator

from django.db import models

from ..credentials.encryption import EncryptedField, Sealed, SecretUnavailableError, binding, key_ring, reveal
from ..models import Credential

_MODELS: tuple[type[models.Model], ...] = (Credential,)


def unreadable() -> list[str]:
    """Return a message for each stored secret that no key of the ring opens, naming its row."""
    messages = []
    for row, name in _stored():
        try:
            reveal(row, name)
        except SecretUnavailableError as error:
            messages.append(str(error))
    return messages


def reencrypt() -> tuple[int, list[str]]:
    """Encrypt every secret with the first key; return how many that were, and messages for those that can't
    be read.

    A secret that is changed meanwhile is left as it is: whoever changed it has used the first key already.
    The rows' history is not touched, as their content stays the same.
    """
    done, messages = 0, []
    for row, name in _stored():
        try:
            plaintext = reveal(row, name)
        except SecretUnavailableError as error:
            messages.append(str(error))
            continue
        old = getattr(row, name)
        sealed = key_ring().seal(plaintext, binding(row, name))
        type(row)._default_manager.filter(pk=row.pk, **{name: old}).update(**{name: sealed})
        done += 1
    return done, messages


def _stored() -> Iterator[tuple[models.Model, str]]:
    for model in _MODELS:
        names = [field.name for field in model._meta.get_fields() if isinstance(field, EncryptedField)]
        for row in model._default_manager.order_by("pk"):
            yield from ((row, name) for name in names if isinstance(getattr(row, name), Sealed))
