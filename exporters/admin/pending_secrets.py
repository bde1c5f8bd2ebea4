"""Keep text entered into a secret input while its form has errors elsewhere.

A form that is shown again with errors must keep all its values, but its page must not contain a secret. So the hub
encrypts the secret with its key ring and keeps it in the user's session. The page has a random handle for it, which is
useless in another session or for another field.
"""

import secrets
import time
from typing import Any

from ..credentials.encryption import Sealed, UndecryptableError, key_ring

_SESSION_KEY = "held_secrets"
_SECONDS = 3600
# A user fills in few forms at a time. More than this would only make the session grow.
_AT_MOST = 8


class HeldSecrets:
    """The secrets that a session holds. `session` is Django's, a mapping that is stored between requests."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def hold(self, field: str, plaintext: str) -> str:
        """Keep a secret for an hour and return its handle."""
        handle = secrets.token_urlsafe(16)
        sealed = key_ring().seal(plaintext, _binding(handle, field))
        held = [*self._current().items(), (handle, [sealed.ciphertext, time.time()])]
        self._session[_SESSION_KEY] = dict(held[-_AT_MOST:])
        return handle

    def get(self, field: str, handle: str) -> str:
        """Return a held secret, or "" if there is none for this handle or it has expired."""
        ciphertext, _ = self._current().get(handle, ("", 0.0))
        try:
            return key_ring().open(Sealed(ciphertext), _binding(handle, field)) if ciphertext else ""
        except UndecryptableError:
            return ""

    def drop(self, handle: str) -> None:
        self._session[_SESSION_KEY] = {key: kept for key, kept in self._current().items() if key != handle}

    def _current(self) -> dict[str, Any]:
        held = self._session.get(_SESSION_KEY, {})
        return {handle: kept for handle, kept in held.items() if time.time() - kept[1] < _SECONDS}


def _binding(handle: str, field: str) -> str:
    return f"held secret {handle} {field}"
