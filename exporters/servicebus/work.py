"""Jobs side by side, each for a part of a read, until all are done or the deadline has come."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from .entities import Failure
from .errors import Reason, ServiceBusError

# After one of these no further request can do better.
_HOPELESS = frozenset({Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.CREDENTIAL, Reason.DNS, Reason.TLS})

Job = Callable[[], Awaitable[None]]


class Work:
    """A job belongs to a collector (namespace, queues, ...) and may add further ones while it runs."""

    def __init__(self, optional: str, job_ended: Callable[[str], None]) -> None:
        """`optional`: the collector whose failure says nothing of the others.

        `job_ended` is called with its collector after each job.
        """
        self._optional = optional
        self._job_ended = job_ended
        # None: nothing has failed so far.
        self.failures: dict[str, Failure | None] = {}
        self._jobs: deque[tuple[str, Job]] = deque()
        self._running: dict[str, int] = {}
        self._arrived = asyncio.Event()
        self._hopeless: Failure | None = None

    def add(self, collector: str, job: Job) -> None:
        self.failures.setdefault(collector, None)
        self._jobs.append((collector, job))
        self._arrived.set()

    def fail(self, collector: str, failure: Failure) -> None:
        if self.failures.get(collector) is None:  # the first cause is the one to look at
            self.failures[collector] = failure

    def is_open(self, collector: str) -> bool:
        """Tell whether a job of the collector runs or waits."""
        return collector in self._running or any(each == collector for each, _ in self._jobs)

    async def run(self, concurrency: int, deadline: float) -> None:
        """Do all jobs, so many at a time; what is left at `deadline` (the loop's time) has failed with a timeout."""
        try:
            async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as workers:
                for _ in range(concurrency):
                    workers.create_task(self._work())
        except TimeoutError:
            for collector in {*self._running, *(collector for collector, _ in self._jobs)}:
                self.fail(collector, Failure(Reason.TIMEOUT, "Not everything was read before the deadline."))

    async def _work(self) -> None:
        while self._jobs or self._running:
            if not self._jobs:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            collector, job = self._jobs.popleft()
            if self._hopeless is not None:
                self.fail(collector, self._hopeless)
                continue
            self._running[collector] = self._running.get(collector, 0) + 1
            try:
                await job()
            except ServiceBusError as error:
                failure = Failure(error.reason, error.message)
                self.fail(collector, failure)
                if error.reason in _HOPELESS and collector != self._optional:
                    self._hopeless = failure
            self._running[collector] -= 1
            if not self._running[collector]:
                del self._running[collector]
            self._job_ended(collector)
            if not self._running and not self._jobs:
                self._arrived.set()  # wakes the idle workers, so that they end
