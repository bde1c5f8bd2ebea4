"""One read for all scrapes of a namespace that overlap, and for later ones while its result is fresh enough.

The threads of a process wait for the one among them that came first. That one either reads, holding the lease, or waits
for the process or replica that does. All of them sleep meanwhile: see `watch`. A holder that dies loses the lease:
at once with files, within seconds with Redis.
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
from ..servicebus.entities import Failure, Snapshot
from ..servicebus.errors import Reason
from ..shared_state import leases
from ..shared_state.layered import HeldLease, Wait
from ..shared_state.leases import NoLease
from .result_cache import KeptResults
from .results import Stored, key_of

logger = logging.getLogger(__name__)

# What a scrape with a later deadline may be spared.
_FOR_LACK_OF_TIME = frozenset({Reason.TIMEOUT, Reason.OVERLOADED})
# How much sooner another's deadline may be for such a failure to be taken as one's own.
_SAME_DEADLINE_SECONDS = 0.5


class Origin(StrEnum):
    """Where an answer comes from."""

    READ = "read"  # its own read
    SHARED = "shared"  # the read of another scrape, which was under way
    CACHED = "cached"  # an earlier read, still fresh enough


@dataclass(frozen=True, slots=True)
class Answer:
    snapshot: Snapshot
    origin: Origin
    age_seconds: float = 0.0
    # Of the read, by servicebus.clock; infinite for one that is fresh enough anyway.
    finished_at: float = math.inf


# Reads within so many seconds. Can ask what the last read learnt, for what is carried over.
Read = Callable[[float, Callable[[], Snapshot | None]], Snapshot]
# Goes on aside with a read that the budget cut short, for so many seconds; calls its last argument at the end.
ReadOn = Callable[[Snapshot, float, Callable[[Snapshot | None], None]], None]


class Flights:
    """The reads under way in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[tuple[Answer, float]]] = {}
        self._going_on: set[str] = set()
        self._kept = KeptResults()

    def answer(self, target: Target, seconds: float, read: Read, read_on: ReadOn) -> Answer:
        """Return an answer within so many seconds; `read` and `read_on` are called at most once."""
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
            except Exception as error:  # of the hub's own making: this one tries by itself
                logger.debug("A shared read of %s failed: %s", target.name, type(error).__name__)
                continue
            # Not a read that was over before, and whose result is just being stored.
            if answer.finished_at >= came_at and _is_good_for(answer.snapshot, its_deadline, deadline):
                return _again(answer)

    def is_under_way(self, target: Target) -> bool:
        """Tell whether this process reads the namespace, or waits for another one that does."""
        return key_of(target) in self._under_way

    def last(self, target: Target) -> Stored | None:
        """Return the last read that was kept, of whatever age up to a quarter of an hour; None without one."""
        return self._kept.get(key_of(target))

    def forget(self, target: Target) -> None:
        """Drop what was kept: the next scrape reads anew, and carries nothing over."""
        self._kept.forget(key_of(target))

    def _lead(
        self,
        target: Target,
        key: str,
        deadline: float,
        reads: tuple[Read, ReadOn],
        own: "Future[tuple[Answer, float]]",
    ) -> Answer:
        """Answer for all threads of this process that ask meanwhile."""
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
            lease = leases.take(key, deadline - time.monotonic())
            if not isinstance(lease, Wait):
                try:
                    # Another process may have finished between the look and the lease.
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
        lease: HeldLease | NoLease,
    ) -> Answer:
        read, read_on = reads

        def former() -> Snapshot | None:
            kept = self._kept.get(key)
            return kept.snapshot if kept is not None else None

        allowed = max(0.0, deadline - time.monotonic())
        snapshot = read(allowed, former)
        finished_at = clock.now()
        stored = Stored(allowed, finished_at, snapshot)
        # The last question of all, as it ends the lease if the answer is no.
        if self._is_to_be_kept(target, key, stored) or not lease.release_unless_wanted():
            if is_cut_short(snapshot):
                # A read that went on aside, after the last scrape, may have ended meanwhile.
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
        """Put what was read on in the place of the read that it goes on from, or into a newer one."""
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
        if stored is None or any(failure is not None for failure in stored.snapshot.collectors.values()):
            return None  # a failure is read anew: it may be over
        age = max(0.0, clock.now() - stored.snapshot.began_at)
        return Answer(stored.snapshot, Origin.CACHED, age) if age <= target.limits.cache_seconds else None


def _is_good_for(snapshot: Snapshot, its_deadline: float, deadline: float) -> bool:
    """Tell whether another scrape's read will do: one that lacked time which this scrape has will not."""
    lacked_time = any(
        failure is not None and failure.reason in _FOR_LACK_OF_TIME
        for failure in snapshot.collectors.values()
    )
    return not lacked_time or its_deadline >= deadline - _SAME_DEADLINE_SECONDS


def _again(answer: Answer) -> Answer:
    if answer.origin is Origin.CACHED:
        return answer
    return Answer(answer.snapshot, Origin.SHARED, max(0.0, clock.now() - answer.snapshot.began_at))


def _no_answer_in_time(seconds: float) -> Answer:
    failure = Failure(Reason.TIMEOUT, "The read that another scrape had begun did not end in time.")
    snapshot = Snapshot(
        collectors={"namespace": failure},
        duration_seconds=seconds,
        read_at=time.time(),
        began_at=clock.now(),
    )
    return Answer(snapshot, Origin.SHARED)


flights = Flights()
