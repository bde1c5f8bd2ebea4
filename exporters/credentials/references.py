"""Secrets stored elsewhere: a reference {"env": NAME} or {"file": PATH}, read whenever the secret is needed."""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path

from django.conf import settings

from .encryption import SecretUnavailableError
from .tidying import tidied

# A certificate with its chain is far smaller; reading a device or a log file would exhaust the memory.
_MAXIMUM_BYTES = 1024 * 1024

# The hub's own secrets must not be sent to a Service Bus endpoint as somebody's key.
_FORBIDDEN = frozenset(
    {"HUB_SECRET_KEY", "HUB_ENCRYPTION_KEYS", "HUB_DATABASE_URL", "HUB_REDIS_URL", "HUB_ADMIN_PASSWORD"}
)


class UnresolvedReferenceError(SecretUnavailableError):
    """A reference to an environment variable or file that doesn't exist or can't be used."""


def describe(reference: Mapping[str, str]) -> str:
    """Return where a reference points, for messages: environment variable NAME, or file PATH."""
    kind, place = next(iter(reference.items()))
    return f"environment variable {place}" if kind == "env" else f"file {place}"


def resolve(reference: Mapping[str, str]) -> str:
    """Return the secret, tidied; raise UnresolvedReferenceError with what to set."""
    kind, place = next(iter(reference.items()))
    value = tidied(_from_environment(place) if kind == "env" else _from_file(place))
    if not value:
        raise UnresolvedReferenceError(f"The {describe(reference)} is empty.")
    return value


def _from_environment(name: str) -> str:
    if name in _FORBIDDEN:
        raise UnresolvedReferenceError(f"{name} is one of the hub's own secrets and can't be used here.")
    value = os.environ.get(name)
    if value is None:
        # Anything that doesn't look like a name may be the secret itself, entered instead of the name.
        named = name if name == name.upper() else "given here"
        raise UnresolvedReferenceError(f"The environment variable {named} is not set. Set it for the hub.")
    if any("\ud800" <= character <= "\udfff" for character in value):  # bytes that are not UTF-8
        raise UnresolvedReferenceError(f"The environment variable {name} is not UTF-8 text.")
    return value


def _opens_the_hub(path: str) -> bool:
    """Return whether a file has secrets of the hub: named by its variables, created by it, or under /proc."""
    real = os.path.realpath(path)
    named = [name for variable in _FORBIDDEN if (name := os.environ.get(f"{variable}_FILE"))]
    made = [f"{settings.HUB_DATA_DIR}/{name}" for name in ("secret_key", "encryption_key", "admin_password")]
    return real.startswith("/proc/") or any(real == os.path.realpath(own) for own in (*named, *made))


def _from_file(path: str) -> str:
    if _opens_the_hub(path):
        raise UnresolvedReferenceError(f"The file {path} belongs to the hub and can't be used as a secret.")
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAXIMUM_BYTES + 1)
    except OSError as error:
        raise UnresolvedReferenceError(f"The file {path} can't be read: {error.strerror or error}.") from None
    if len(content) > _MAXIMUM_BYTES:
        raise UnresolvedReferenceError(f"The file {path} is larger than 1 MiB, the maximum for a secret.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise UnresolvedReferenceError(
            f"The file {path} is not text. A certificate must be PEM. To convert a PFX file, use `openssl pkcs12 "
            "-in file.pfx -out file.pem`."
        ) from None


def revision(reference: Mapping[str, str]) -> Hashable:
    """Return a value that changes when the referenced secret changes, without reading a file."""
    kind, place = next(iter(reference.items()))
    if kind == "env":
        return os.environ.get(place)
    try:
        status = os.stat(place)
    except OSError as error:
        return error.errno
    except (TypeError, ValueError):  # not a valid path
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
