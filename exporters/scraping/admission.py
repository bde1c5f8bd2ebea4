"""Admission control for reads on the I/O loop. A waiting read holds neither a thread nor a lock.

The decisions are made in admission_queue.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..configuration.targets import Target
from ..servicebus.entities import Snapshot
from ..servicebus.errors import Reason, ServiceBusError
from ..telemetry import internal_errors, metrics
from .admission_queue import AdmissionQueue, Entrant, Verdict

# Interval between checks of the queue while reads wait.
_TICK_SECONDS = 0.02
MESSAGE = (
    "The hub can't finish all reads in time. Give it more CPU, add a replica, scrape less often, or set "
    "cache_seconds where several servers scrape the same namespaces."
)


class Admission:
    """Admission control of one process. Create it once, on the I/O loop."""

    def __init__(self) -> None:
        self._queue = AdmissionQueue(time.monotonic())
        self._turns: dict[Entrant, asyncio.Future[bool]] = {}
        self._under_way = 0
        # For other threads, which must not change the queue itself.
        self._wait_seconds = 0.0
        self._refused_aside: set[str] = set()
        self._next_tick: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def admitted(
        self, target: Target, asked_at: float, deadline: float, *, is_connection_test: bool
    ) -> AsyncIterator[None]:
        """Wait until a read may begin; raise ServiceBusError (overloaded) if it can't be finished in time.

        `asked_at` is when a thread handed the read to the loop; it shows how late the loop is. Both times are from
        time.monotonic().
        """
        now = time.monotonic()
        entrant = Entrant("" if is_connection_test else target.name, asked_at, deadline)
        verdict = self._queue.arrive(entrant, now, now - asked_at)
        if verdict is Verdict.WAITS:
            verdict = await self._wait(entrant)
        if verdict is Verdict.REFUSED:
            raise ServiceBusError(Reason.OVERLOADED, MESSAGE)
        self._under_way += 1
        self._tell()
        try:
            yield
        finally:
            self._under_way -= 1
            self._tell()

    def refuses(self, target: Target, seconds: float) -> bool:
        """Return whether a scrape with a timeout of `seconds` would be refused. Cheap, and safe from any thread."""
        if self._wait_seconds <= self._queue.promised_share(target.name) * seconds:
            return False
        self._refused_aside.add(target.name)
        return True

    def learn(self, target: Target, snapshot: Snapshot) -> None:
        """Record what a read was like, to estimate the cost of this namespace's next one."""
        self._queue.learn(target.name, snapshot)

    async def _wait(self, entrant: Entrant) -> Verdict:
        turn = self._turns[entrant] = asyncio.get_running_loop().create_future()
        if self._next_tick is None:
            self._plan()
        self._tell()
        try:
            return Verdict.BEGINS if await turn else Verdict.REFUSED
        finally:
            del self._turns[entrant]
            self._queue.leave(entrant)

    def _plan(self) -> None:
        due = time.monotonic() + _TICK_SECONDS
        self._next_tick = asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick, due)

    def _tick(self, due: float) -> None:
        now = time.monotonic()
        while self._refused_aside:
            self._queue.refused(self._refused_aside.pop())
        for entrants, may_begin in zip(self._queue.tick(now, now - due), (True, False), strict=True):
            for entrant in entrants:
                turn = self._turns.get(entrant)
                if turn is not None and not turn.done():
                    turn.set_result(may_begin)
        self._wait_seconds = self._queue.wait_seconds(now)
        if self._queue.waiting:
            self._plan()
        else:
            self._next_tick = None
            self._wait_seconds = 0.0

    def _tell(self) -> None:
        with internal_errors.aside("records"):
            metrics.READS_WAITING.set(self._queue.waiting)
            metrics.READS_UNDER_WAY.set(self._under_way)
