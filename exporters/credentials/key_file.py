"""The keys in HUB_ENCRYPTION_KEYS_FILE, reloaded while the hub runs: a rotation needs no restart."""

import logging
import os
import threading
from collections.abc import Callable, Sequence

from django.core.exceptions import ImproperlyConfigured

logger = logging.getLogger(__name__)


class KeyFile:
    """Reloads the file when it is replaced or changed; keeps the previous keys while the file is invalid."""

    def __init__(self, read: Callable[[], Sequence[str]], check: Callable[[tuple[str, ...]], object]) -> None:
        self._read = read
        self._check = check
        self._seen: tuple[int, ...] = ()
        self._keys: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def keys(self, path: str, first: Sequence[str]) -> tuple[str, ...]:
        """Return the current keys; `first` are those read at startup."""
        try:
            status = os.stat(path)
            now: tuple[int, ...] = (status.st_ino, status.st_size, status.st_mtime_ns)
        except OSError:
            now = ()
        if now != self._seen or not self._keys:
            with self._lock:
                self._take(path, first, now)
        return self._keys

    def _take(self, path: str, first: Sequence[str], now: tuple[int, ...]) -> None:
        self._seen = now
        former = self._keys or tuple(first)
        try:
            keys = tuple(self._read())
            self._check(keys)
        except ImproperlyConfigured as error:
            # The error's text contains no key.
            logger.error("Ignoring the encryption keys in %s and keeping the current ones: %s", path, error)
            keys = former
        if keys != former:
            logger.info("Reloaded the encryption keys from %s: %s", path, len(keys))
        self._keys = keys
