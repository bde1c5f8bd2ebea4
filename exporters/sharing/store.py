"""Where scrapes keep what they share: small values, results, and leases on a read that is under way.

Three stores do the same in different reach: Redis for replicas, files for the worker processes of one machine, memory
for the threads of one process. `Layered` uses the first that works; a store that fails is left alone for a while, so
that a broken one costs sharing and never a scrape.

Each store has its own time, which all who use it have in common: Redis its server's, files and memory the machine's
clock since its start. Ages are differences of a store's own times, so no machine's date plays a part in them.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from .. import telemetry

logger = logging.getLogger(__name__)

# For how long a store that failed is not asked again. Short enough that sharing is back soon after an outage.
_REST_SECONDS = 3.0

# A budget is 73 bytes long.
MAX_SHARED_VALUE_BYTES = 4_096

T = TypeVar("T")
# Given a value (None: there is none) and the store's time in seconds; returns the new value and a result.
Change = Callable[[bytes | None, float], tuple[bytes, T]]


class StoreError(Exception):
    """The store can't do it at this moment; the message holds no address and no secret."""


class Lease(Protocol):
    """The right to read a namespace alone. Ends with its process, or soon after it."""

    def renew(self) -> None:
        """Keep it for another while; raise StoreError when that can't be done."""
        ...

    def release(self) -> None:
        """Give it up; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A result, as a store has kept it."""

    stamp: str
    body: bytes
    age_seconds: float  # below 0 when the store's clock was set back since


class Store(Protocol):
    """Keys are hex digests. Everything raises StoreError when the store is out of order."""

    name: str
    # Whether a call may wait for a network, and so must not be made on an event loop.
    waits: bool

    def update(self, key: str, change: Change[T], seconds: float) -> T:
        """Replace a small value by what `change` makes of it, alone; keep it for so many seconds at least.

        `change` is given the value and the store's time in seconds, and may be called more than once. Returns its
        second result. A value is at most MAX_SHARED_VALUE_BYTES long.
        """
        ...

    def lease(self, key: str, seconds: float) -> Lease | None:
        """Return the lease, None when somebody else holds it. `seconds`: for how long it lives without a renewal."""
        ...

    def is_leased(self, key: str) -> bool:
        """Tell whether somebody holds it."""
        ...

    def put(self, key: str, kept: Kept, seconds: float) -> None:
        """Keep a result under a stamp that tells it from others, until it is at least so many seconds old."""
        ...

    def stamp(self, key: str) -> str | None:
        """Return the stamp of the result that is kept."""
        ...

    def get(self, key: str) -> Kept | None:
        """Return the result that is kept, with its age at this moment."""
        ...

    def forget(self, key: str) -> None:
        """Drop the result that is kept."""
        ...


def checked(value: bytes) -> bytes:
    """Return a small value; raise StoreError if it is too long to be one."""
    if len(value) > MAX_SHARED_VALUE_BYTES:
        raise StoreError(f"A shared value is longer than {MAX_SHARED_VALUE_BYTES} bytes.")
    return value


class Layered:
    """The first store that works."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores
        self._rests_until = [0.0] * len(stores)
        self._failing = [False] * len(stores)
        self._lock = threading.Lock()

    @property
    def waits(self) -> bool:
        return any(store.waits for store in self._stores)

    def degraded(self) -> list[str]:
        """Return the names of the stores that failed last."""
        return [store.name for store, failing in zip(self._stores, self._failing, strict=True) if failing]

    def do(self, action: Callable[[Store], T]) -> T:
        """Return what the action makes of the first store that works; the last one's StoreError if there is none."""
        problem: StoreError | None = None
        for index, store in enumerate(self._stores):
            if self._rests_until[index] > time.monotonic():
                continue
            try:
                result = action(store)
            except StoreError as error:
                problem = error
                self._note_failure(index, error)
                continue
            if self._failing[index]:
                self._note_success(index)
            return result
        raise problem or StoreError("No store works at this moment.")

    def _note_failure(self, index: int, error: StoreError) -> None:
        telemetry.SHARED_STATE_ERRORS.labels(self._stores[index].name).inc()
        with self._lock:
            first, self._failing[index] = not self._failing[index], True
            self._rests_until[index] = time.monotonic() + _REST_SECONDS
        if first:
            logger.warning(
                "Scrapes share nothing through %s for now, and go on: %s", self._stores[index].name, error
            )

    def _note_success(self, index: int) -> None:
        with self._lock:
            first, self._failing[index] = self._failing[index], False
        if first:
            logger.info("Scrapes share through %s again.", self._stores[index].name)
