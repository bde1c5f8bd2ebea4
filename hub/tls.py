"""The certificate of a hub that speaks TLS itself, followed while the hub runs: a renewal needs no restart."""

import logging
import os
import ssl
import threading

logger = logging.getLogger(__name__)


class Certificate:
    """Makes a TLS context of two PEM files, anew when one of them changed; safe to be asked by many threads.

    One context serves all connections, as making one takes 33 to 44 ms. While the files can't be used the former
    context goes on: a renewal puts the certificate and its key there one after the other.
    """

    def __init__(self, certificate: str, key: str) -> None:
        self._files = (certificate, key)
        self._seen: tuple[int, ...] = ()
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def context(self) -> ssl.SSLContext:
        """Return the context of this moment; raise OSError (ssl.SSLError is one) when there was never a usable one."""
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
            logger.error("The changed certificate is not taken, the former one goes on: %s", error)
            return self._context
        if self._context is not None:
            logger.info("The certificate was read anew from %s.", self._files[0])
        return context
