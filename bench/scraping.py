"""Scrapes as Prometheus makes them: each target at its own offset in the interval, over its own persistent connection.

A scrape never waits for another target's response. A target whose previous scrape is still running skips a turn.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from tests.support.series import is_up

# What Prometheus 3 sends, beside its timeout.
HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Accept-Encoding": "gzip",
    "User-Agent": "Prometheus/3.7.3",
}


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape: when it was due (monotonic time), how long it took, and how it ended."""

    due: float
    seconds: float
    ended: str  # up, the reason for a failure (overloaded, timeout, ...), an HTTP status, or unanswered


class Scraper:
    """Scrapes one hub; `done` has every finished scrape."""

    def __init__(self, address: str, token: str, timeout_seconds: float) -> None:
        self.done: list[Scrape] = []
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._headers = {
            **HEADERS,
            "Authorization": f"Bearer {token}",
            "X-Prometheus-Scrape-Timeout-Seconds": f"{timeout_seconds:g}",
        }
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    def _session(self, name: str) -> aiohttp.ClientSession:
        if name not in self._sessions:
            self._sessions[name] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=70),
                timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
                headers=self._headers,
            )
        return self._sessions[name]

    async def scrape(self, name: str, due: float) -> Scrape:
        """Scrape once and record the outcome."""
        try:
            async with self._session(name).get(f"http://{self._address}/metrics/{name}") as answer:
                ended = _how_it_ended(answer.status, await answer.read())
        except (TimeoutError, aiohttp.ClientError, OSError):
            ended = "unanswered"
        scrape = Scrape(due, time.monotonic() - due, ended)
        self.done.append(scrape)
        return scrape

    async def regularly(self, names: Sequence[str], interval: float, until: float) -> None:
        """Scrape all of `names` at this interval until a monotonic time, spread evenly over the interval."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number, name in enumerate(names):
                tasks.create_task(self._one(name, began + interval * number / len(names), interval, until))

    async def as_fast_as_possible(self, names: Sequence[str], at_once: int, until: float) -> None:
        """Scrape continuously, `at_once` at a time, until a monotonic time; if `until` is 0, scrape each name once."""
        turns = iter(names if not until else _again_and_again(names, until))

        async def worker() -> None:
            for name in turns:
                await self.scrape(name, time.monotonic())

        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(worker())

    async def _one(self, name: str, due: float, interval: float, until: float) -> None:
        while due < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self.scrape(name, due)
            missed = max(0, int((time.monotonic() - due) / interval))
            due += interval * (missed + 1)


def _again_and_again(names: Sequence[str], until: float):  # type: ignore[no-untyped-def]
    while time.monotonic() < until:
        yield from names


def _how_it_ended(status: int, body: bytes) -> str:
    if status != 200:
        return f"status {status}"
    if is_up(body):
        return "up"
    reasons = re.findall(rb'^servicebus_scrape_error\{reason="(\w+)"\} 1', body, re.MULTILINE)
    return reasons[0].decode() if reasons else "failed"
