"""What a benchmark does again and again beside its load, and how long that took."""

import http.client
import threading
import time
from collections.abc import Callable

from .hubs import Hub


class Series:
    """Does one thing again and again until told to stop, and keeps how long it took and what went wrong."""

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
    """Return what scrapes a namespace over a kept connection: the exposition, empty when there is none.

    `timeout_seconds` is what the hub is told of Prometheus's timeout.
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
