"""An action that a benchmark repeats alongside its load, and how long each run of it took."""

import http.client
import re
import threading
import time
from collections.abc import Callable

from .hubs import Hub

_REASON = re.compile(rb'^servicebus_scrape_error\{[^}]*reason="(\w+)"[^}]*\} 1', re.MULTILINE)


class Series:
    """Repeat one action until told to stop; record how long each run took and how many failed."""

    def __init__(self, work: Callable[[], bool], pause_seconds: float, over: threading.Event) -> None:
        self.seconds: list[float] = []
        self.failed = 0
        self._work, self._pause, self._over = work, pause_seconds, over
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            started = time.monotonic()
            try:
                good = self._work()
            except OSError:
                good = False
            self.seconds.append(time.monotonic() - started)
            self.failed += not good
            self._over.wait(max(0.0, self._pause - self.seconds[-1]))

    def result(self) -> tuple[list[float], int]:
        self._thread.join()
        return self.seconds, self.failed


def scrape_of(hub: Hub, token: str, name: str, *, timeout_seconds: float) -> Callable[[], bytes]:
    """Return a function that scrapes a namespace over a persistent connection.

    It returns the exposition, or empty bytes if there is none. `timeout_seconds` is sent to the hub as Prometheus's
    scrape timeout.
    """
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=30)
    headers = {
        "Authorization": f"Bearer {token}",
        "X-Prometheus-Scrape-Timeout-Seconds": f"{timeout_seconds:g}",
    }

    def scrape() -> bytes:
        try:
            connection.request("GET", f"/metrics/{name}", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return b""
        return body if answer.status == 200 else b""

    return scrape


def is_up(exposition: bytes) -> bool:
    return b"\nservicebus_up 1.0\n" in exposition


def reasons_of(exposition: bytes) -> set[str]:
    """Return the reasons why a scrape, or parts of it, failed."""
    return {reason.decode() for reason in _REASON.findall(exposition)}
