"""Concurrent jobs, each for a part of a read, until all are done or the deadline has passed."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from . import tracebacks
from .entities import Failure
from .errors import HOPELESS, REFUSED, Reason, ServiceBusError

logger = logging.getLogger(__name__)

# How often a read checks whether the waiting jobs justify another worker, while it has fewer than allowed.
_LOOK_SECONDS = 0.1

Job = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Waiting:
    """Jobs that were added together."""

    collector: str
    jobs: Iterator[Job]
    number: int  # the most there can be; there may be fewer


class Work:
    """Runs jobs. Each belongs to a collector (namespace, queues, ...) and may add further jobs while it runs."""

    def __init__(
        self,
        optional: str,
        ended: Callable[[str], None],
        allowed: Callable[[int], int],
        leave: Callable[["asyncio.Task[None]"], bool],
    ) -> None:
        """`optional`: the collector whose failure doesn't affect the others.

        `ended` is called with a job's collector after each job, and when jobs that were added together have all begun.
        `allowed` takes the number of waiting jobs and returns how many may run concurrently. `leave` is called with
        each worker that the deadline interrupts. If it returns True, the worker goes on; otherwise, it is cancelled.
        """
        self._optional = optional
        self._ended = ended
        self._allowed = allowed
        self._leave = leave
        # None: nothing has failed so far.
        self.failures: dict[str, Failure | None] = {}
        # Jobs are created when a worker is free for them, because the service determines their number.
        self._jobs: deque[_Waiting] = deque()
        self._running: dict[str, int] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._at_work = 0  # workers that have not ended
        self._is_on = False
        self._hopeless: Failure | None = None

    def add(self, collector: str, jobs: Iterable[Job], number: int = 1) -> None:
        """Add jobs behind those that wait; `number`: how many there are, at most."""
        self.failures.setdefault(collector, None)
        self._jobs.append(_Waiting(collector, iter(jobs), number))
        self._begin_worker()

    def add_next(self, collector: str, job: Job) -> None:
        """Add a job before those that wait."""
        self._jobs.appendleft(_Waiting(collector, iter((job,)), 1))
        self._begin_worker()

    def fail(self, collector: str, failure: Failure) -> None:
        if self.failures.get(collector) is None:  # the first cause is the relevant one
            self.failures[collector] = failure

    def is_open(self, collector: str) -> bool:
        """Return whether a job of the collector runs or waits."""
        return collector in self._running or any(each.collector == collector for each in self._jobs)

    async def run(self, deadline: float) -> None:
        """Run all jobs; those left at `deadline` (the loop's time) fail with a timeout."""
        loop = asyncio.get_running_loop()
        self._is_on = True
        try:
            self._begin_worker()
            while self._workers and (left := deadline - loop.time()) > 0:
                seconds = min(left, _LOOK_SECONDS) if self._jobs else left
                done, _ = await asyncio.wait(
                    self._workers, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
                self._workers -= done
                for worker in done:
                    if not worker.cancelled():
                        worker.result()
                self._begin_worker()
            if self._workers:
                interrupted = [worker for worker in self._workers if not self._leave(worker)]
                for worker in interrupted:
                    worker.cancel()
                # A worker can end with a more precise reason than the deadline, such as a missing token.
                await asyncio.gather(*interrupted, return_exceptions=True)
                self._workers = set()
                waiting = [each.collector for each in self._jobs if next(each.jobs, None) is not None]
                for collector in {*self._running, *waiting}:
                    self.fail(
                        collector, Failure(Reason.TIMEOUT, "The read was not complete at the deadline.")
                    )
        finally:
            self._is_on = False
            self._jobs.clear()
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)

    def _begin_worker(self) -> None:
        if self._is_on and self._jobs and self._at_work < self._allowed(self._number_waiting()):
            self._at_work += 1
            self._workers.add(asyncio.get_running_loop().create_task(self._work()))

    def _number_waiting(self) -> int:
        return sum(each.number for each in self._jobs)

    async def _work(self) -> None:
        try:
            await self._do_jobs()
        finally:
            self._at_work -= 1

    async def _do_jobs(self) -> None:
        while self._jobs:
            waiting = self._jobs[0]
            collector = waiting.collector
            self._running[collector] = self._running.get(collector, 0) + 1
            try:
                await self._do_next(waiting)
            except ServiceBusError as error:
                failure = Failure(error.reason, error.message)
                self.fail(collector, failure)
                if error.reason in HOPELESS or (error.reason in REFUSED and collector != self._optional):
                    self._hopeless = failure
            except Exception as error:  # a bug fails one collector, not the whole read
                self.fail(collector, Failure(Reason.INTERNAL, f"The hub has a bug ({type(error).__name__})."))
                logger.error("Reading %s failed: %s", collector, tracebacks.frames(error))
            self._running[collector] -= 1
            if not self._running[collector]:
                del self._running[collector]
            self._ended(collector)

    async def _do_next(self, waiting: _Waiting) -> None:
        if self._hopeless is not None:
            self._jobs.popleft()
            self.fail(waiting.collector, self._hopeless)
            return
        job = next(waiting.jobs, None)
        if job is None:
            self._jobs.popleft()
        else:
            waiting.number = max(0, waiting.number - 1)
            self._begin_worker()  # for the next one
            await job()
