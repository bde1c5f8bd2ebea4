"""One read for all overlapping scrapes of a namespace, and for later ones while its result is fresh enough.

The threads of a process wait for the first one among them. That one either reads, holding the lease, or waits for the
process or replica that reads. All of them sleep while waiting: see `shared_state.lease_watch`. A holder that dies loses
the lease: at once with files, within seconds with Redis.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from ..configuration.targets import Target
from ..servicebus import clock
from ..servicebus.background_read import is_cut_short, with_fresher
from ..servicebus.entities import Snapshot
from ..servicebus.errors import OUT_OF_TIME, Reason
from ..shared_state import shared
from ..shared_state.layered import HeldLease, Wait
from .reading import failed
from .result_cache import KeptResults
from .results import Stored, key_of

logger = logging.getLogger(__name__)

# Renewed once per second during a read. Long enough to survive a moment without CPU time, but short compared to a
# scrape.
_LEASE_SECONDS = 3.0
# How much earlier another scrape's deadline may be for its failure to be used as one's own.
_SAME_DEADLINE_SECONDS = 0.5


class Origin(StrEnum):
    """The source of an answer."""

    READ = "read"  # its own read
    SHARED = "shared"  # the read of another scrape, under way at the time
    CACHED = "cached"  # an earlier read, still fresh enough


@dataclass(frozen=True, slots=True)
class Answer:
    snapshot: Snapshot
    origin: Origin
    age_seconds: float = 0.0
    # End of the read, by servicebus.clock; infinite for a result that is fresh enough anyway.
    finished_at: float = math.inf


# Reads within the given number of seconds. Can call its second argument for the last read, to carry data over.
Read = Callable[[float, Callable[[], Snapshot | None]], Snapshot]
# Continues a read that the budget cut short, in the background for the given number of seconds; calls its last argument
# at the end.
ReadOn = Callable[[Snapshot, float, Callable[[Snapshot | None], None]], None]


class Flights:
    """The reads under way in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[tuple[Answer, float]]] = {}
        self._going_on: set[str] = set()
        self._kept = KeptResults()

    def answer(self, target: Target, seconds: float, read: Read, read_on: ReadOn) -> Answer:
        """Return an answer within `seconds` seconds; call `read` and `read_on` at most once."""
        key, deadline, came_at = key_of(target), time.monotonic() + seconds, clock.now()
        while True:
            with self._lock:
                first = self._under_way.get(key)
                if first is None:
                    own: Future[tuple[Answer, float]] = Future()
                    self._under_way[key] = own
            if first is None:
                return self._lead(target, key, deadline, (read, read_on), own)
            try:
                answer, its_deadline = first.result(max(0.0, deadline - time.monotonic()))
            except FutureTimeoutError:
                return _no_answer_in_time(seconds)
            except Exception as error:  # an internal error: this scrape tries by itself
                logger.debug("A shared read of %s failed: %s", target.name, type(error).__name__)
                continue
            # Excludes a read that had already ended, whose result is just being stored.
            if answer.finished_at >= came_at and _is_good_for(answer.snapshot, its_deadline, deadline):
                return _again(answer)

    def is_under_way(self, target: Target) -> bool:
        """Return whether this process is reading the namespace, or waiting for another one that is."""
        return key_of(target) in self._under_way

    def last(self, target: Target) -> Stored | None:
        """Return the last result that was kept, up to a quarter of an hour old, or None."""
        return self._kept.get(key_of(target))

    def forget(self, target: Target) -> None:
        """Drop the cached result. The next scrape reads everything again and carries nothing over."""
        self._kept.forget(key_of(target))

    def _lead(
        self,
        target: Target,
        key: str,
        deadline: float,
        reads: tuple[Read, ReadOn],
        own: "Future[tuple[Answer, float]]",
    ) -> Answer:
        """Answer for all threads of this process that ask in the meantime."""
        try:
            answer = self._lead_process(target, key, deadline, reads)
        except BaseException as error:
            with self._lock:
                del self._under_way[key]
            own.set_exception(error)
            raise
        with self._lock:
            del self._under_way[key]
        own.set_result((answer, deadline))
        return answer

    def _lead_process(self, target: Target, key: str, deadline: float, reads: tuple[Read, ReadOn]) -> Answer:
        came_at = clock.now()
        cached = self._fresh(target, key)
        if cached is not None:
            return cached
        while True:
            lease = shared().lease(key, _LEASE_SECONDS, deadline - time.monotonic())
            if not isinstance(lease, Wait):
                try:
                    # Another process may have finished between the check and the lease.
                    cached = self._fresh(target, key)
                    return cached or self._read(target, key, deadline, reads, lease)
                finally:
                    lease.release()
            if not lease.until_it_ends(deadline - time.monotonic()):
                return _no_answer_in_time(clock.now() - came_at)
            stored = self._kept.get(key)
            if stored is not None and stored.finished_at >= came_at:
                its_deadline = (
                    time.monotonic() + stored.allowed_seconds - (clock.now() - stored.snapshot.began_at)
                )
                if _is_good_for(stored.snapshot, its_deadline, deadline):
                    age = clock.now() - stored.snapshot.began_at
                    return Answer(stored.snapshot, Origin.SHARED, age, stored.finished_at)

    def _read(
        self,
        target: Target,
        key: str,
        deadline: float,
        reads: tuple[Read, ReadOn],
        lease: HeldLease,
    ) -> Answer:
        read, read_on = reads

        def former() -> Snapshot | None:
            kept = self._kept.get(key)
            return kept.snapshot if kept is not None else None

        allowed = max(0.0, deadline - time.monotonic())
        snapshot = read(allowed, former)
        finished_at = clock.now()
        stored = Stored(allowed, finished_at, snapshot)
        # Check this last, because it ends the lease unless the result is wanted.
        if self._is_to_be_kept(target, key, stored) or not lease.release_unless_wanted():
            if is_cut_short(snapshot):
                # A read that continued in the background after the last scrape may have ended by now.
                beside = former()
                if beside is not None:
                    stored = replace(
                        stored, snapshot=with_fresher(snapshot, beside, target.limits.max_entities)
                    )
            self._kept.put(key, stored)
            left = deadline - time.monotonic()
            if is_cut_short(snapshot) and left > 0 and key not in self._going_on:
                self._going_on.add(key)
                read_on(
                    stored.snapshot, left, partial(self._keep_more, key, allowed, target.limits.max_entities)
                )
        return Answer(snapshot, Origin.READ, finished_at=finished_at)

    def _is_to_be_kept(self, target: Target, key: str, stored: Stored) -> bool:
        if target.limits.cache_seconds or is_cut_short(stored.snapshot):
            return True
        anything = any(failure is None for failure in stored.snapshot.collectors.values())
        return anything and self._kept.is_due(key)

    def _keep_more(self, key: str, allowed: float, max_entities: int, snapshot: Snapshot | None) -> None:
        """Replace the read that was continued with the result, or merge the result into a newer read."""
        self._going_on.discard(key)
        if snapshot is None:
            return
        newest = self._kept.get(key)
        if newest is not None and newest.snapshot.began_at > snapshot.began_at:
            newest = replace(newest, snapshot=with_fresher(newest.snapshot, snapshot, max_entities))
        else:
            newest = Stored(allowed, clock.now(), snapshot)
        self._kept.put(key, newest)

    def _fresh(self, target: Target, key: str) -> Answer | None:
        if not target.limits.cache_seconds:
            return None
        stored = self._kept.get(key)
        if stored is None or stored.snapshot.failures:
            return None  # read again after a failure: it may be over
        age = max(0.0, clock.now() - stored.snapshot.began_at)
        return Answer(stored.snapshot, Origin.CACHED, age) if age <= target.limits.cache_seconds else None


def _is_good_for(snapshot: Snapshot, its_deadline: float, deadline: float) -> bool:
    """Return whether another scrape's read can be used: not if it lacked time that this scrape has."""
    lacked_time = any(failure.reason in OUT_OF_TIME for failure in snapshot.failures)
    return not lacked_time or its_deadline >= deadline - _SAME_DEADLINE_SECONDS


def _again(answer: Answer) -> Answer:
    if answer.origin is Origin.CACHED:
        return answer
    return Answer(answer.snapshot, Origin.SHARED, max(0.0, clock.now() - answer.snapshot.began_at))


def _no_answer_in_time(seconds: float) -> Answer:
    message = "A read started by another scrape did not finish in time."
    return Answer(failed(Reason.TIMEOUT, message, seconds), Origin.SHARED)


flights = Flights()
