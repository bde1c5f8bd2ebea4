"""The keys of a hub that was given none, so that a local run needs no setup."""

import base64
import secrets
from collections.abc import Callable
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def secret_key(folder: Path) -> str:
    """Return Django's SECRET_KEY."""
    return _kept(folder, "secret_key", lambda: secrets.token_urlsafe(50))


def encryption_key(folder: Path) -> str:
    """Return a key for stored secrets."""
    return _kept(
        folder, "encryption_key", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")
    )


def _kept(folder: Path, file_name: str, make: Callable[[], str]) -> str:
    """Return the key stored in HUB_DATA_DIR, created on the first start.

    Replicas don't share this folder: they set the variable, and a deployment check reports it if they don't.
    """
    path = folder / file_name
    try:
        return path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{file_name} in HUB_DATA_DIR can't be read: {error}") from None
    key = make()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("x", encoding="ascii") as file:
            path.chmod(0o600)
            file.write(key + "\n")
    except FileExistsError:  # another process was faster
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"HUB_DATA_DIR ({folder}) is not writable: {error}. Set HUB_DATA_DIR to a writable folder, "
            "or set HUB_SECRET_KEY and HUB_ENCRYPTION_KEYS."
        ) from None
    return key
