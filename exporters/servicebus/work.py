"""Jobs side by side, each for a part of a read, until all are done or the deadline has come."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator

from . import faults
from .entities import Failure
from .errors import Reason, ServiceBusError

logger = logging.getLogger(__name__)

# After one of these no further request can do better.
_HOPELESS = frozenset({Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.CREDENTIAL, Reason.DNS, Reason.TLS})

Job = Callable[[], Awaitable[None]]


class Work:
    """A job belongs to a collector (namespace, queues, ...) and may add further ones while it runs."""

    def __init__(self, optional: str, ended: Callable[[str], None]) -> None:
        """`optional`: the collector whose failure says nothing of the others.

        `ended` is called with its collector after each job, and when jobs that were added together have all begun.
        """
        self._optional = optional
        self._ended = ended
        # None: nothing has failed so far.
        self.failures: dict[str, Failure | None] = {}
        # Each is made when a worker is free for it: the peer decides how many there are.
        self._jobs: deque[tuple[str, Iterator[Job]]] = deque()
        self._running: dict[str, int] = {}
        self._workers: asyncio.TaskGroup | None = None
        self._free = 0  # so many workers more may begin
        self._hopeless: Failure | None = None

    def add(self, collector: str, jobs: Iterable[Job]) -> None:
        """Add jobs behind those that wait."""
        self.failures.setdefault(collector, None)
        self._jobs.append((collector, iter(jobs)))
        self._begin_worker()

    def add_next(self, collector: str, job: Job) -> None:
        """Add a job before those that wait."""
        self._jobs.appendleft((collector, iter((job,))))
        self._begin_worker()

    def fail(self, collector: str, failure: Failure) -> None:
        if self.failures.get(collector) is None:  # the first cause is the one to look at
            self.failures[collector] = failure

    def is_open(self, collector: str) -> bool:
        """Tell whether a job of the collector runs or waits."""
        return collector in self._running or any(each == collector for each, _ in self._jobs)

    async def run(self, concurrency: int, deadline: float) -> None:
        """Do all jobs, so many at a time; what is left at `deadline` (the loop's time) has failed with a timeout."""
        self._free = concurrency
        try:
            async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as self._workers:
                self._begin_worker()
        except TimeoutError:
            waiting = [collector for collector, jobs in self._jobs if next(jobs, None) is not None]
            for collector in {*self._running, *waiting}:
                self.fail(collector, Failure(Reason.TIMEOUT, "Not everything was read before the deadline."))

    def _begin_worker(self) -> None:
        if self._workers is not None and self._jobs and self._free:
            self._free -= 1
            self._workers.create_task(self._work())

    async def _work(self) -> None:
        while self._jobs:
            collector, jobs = self._jobs[0]
            self._running[collector] = self._running.get(collector, 0) + 1
            try:
                await self._do_next(collector, jobs)
            except ServiceBusError as error:
                failure = Failure(error.reason, error.message)
                self.fail(collector, failure)
                if error.reason in _HOPELESS and collector != self._optional:
                    self._hopeless = failure
            except Exception as error:  # a bug: of one collector, not of the whole read
                self.fail(
                    collector, Failure(Reason.INTERNAL, f"The hub has a fault ({type(error).__name__}).")
                )
                logger.error("Reading %s failed: %s", collector, faults.frames(error))
            self._running[collector] -= 1
            if not self._running[collector]:
                del self._running[collector]
            self._ended(collector)
        self._free += 1

    async def _do_next(self, collector: str, jobs: Iterator[Job]) -> None:
        if self._hopeless is not None:
            self._jobs.popleft()
            self.fail(collector, self._hopeless)
            return
        job = next(jobs, None)
        if job is None:
            self._jobs.popleft()
        else:
            self._begin_worker()  # for the next one
            await job()
