"""Operations on all stored secrets: find those that can't be decrypted, and re-encrypt them with a new key."""

from collections.abc import Iterator

from ..credentials.encryption import Sealed, SecretUnavailableError, binding, key_ring, reveal
from ..models import Credential


def unreadable() -> list[str]:
    """Return a message for each stored secret that no key in the ring decrypts, naming its row."""
    messages = []
    for row, name in _stored():
        try:
            reveal(row, name)
        except SecretUnavailableError as error:
            messages.append(str(error))
    return messages


def reencrypt() -> tuple[int, list[str]]:
    """Encrypt every secret with the first key; return the number done, and a message for each unreadable one.

    A secret that changes in the meantime is left alone: it was already encrypted with the first key. The rows' history
    is not touched, because their content stays the same.
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
        Credential.objects.filter(pk=row.pk, **{name: old}).update(**{name: sealed})
        done += 1
    return done, messages


def _stored() -> Iterator[tuple[Credential, str]]:
    for row in Credential.objects.order_by("pk"):
        yield from (
            (row, name) for name in Credential.SECRET_FIELDS if isinstance(getattr(row, name), Sealed)
        )
