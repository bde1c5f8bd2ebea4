"""Where scrapes keep what they share: small values, results, and leases on a read that is under way.

Three stores do the same in different reach: Redis for replicas, files for the worker processes of one machine, memory
for the threads of one process. `Layered` uses the first that works; a store that fails is left alone for a while, so
that a broken one costs sharing and never a scrape.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from .. import telemetry

logger = logging.getLogger(__name__)

# For how long a store that failed is not asked again. Short enough that sharing is back soon after an outage.
_REST_SECONDS = 3.0

T = TypeVar("T")


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


class Store(Protocol):
    """Keys are hex digests. Everything raises StoreError when the store is out of order."""

    name: str
    # Whether a call may wait for a network, and so must not be made on an event loop.
    waits: bool

    def update(self, key: str, change: Callable[[bytes | None], tuple[bytes, T]], seconds: float) -> T:
        """Replace a small value by what `change` makes of it, alone; keep it for so many seconds at least.

        `change` may be called more than once. Returns its second result.
        """
        ...

    def lease(self, key: str, seconds: float) -> Lease | None:
        """Return the lease, None when somebody else holds it. `seconds`: for how long it lives without a renewal."""
        ...

    def is_leased(self, key: str) -> bool:
        """Tell whether somebody holds it."""
        ...

    def put(self, key: str, stamp: str, body: bytes, seconds: float) -> None:
        """Keep a result under a stamp that tells it from others, for so many seconds at least."""
        ...

    def stamp(self, key: str) -> str | None:
        """Return the stamp of the result that is kept."""
        ...

    def get(self, key: str) -> tuple[str, bytes] | None:
        """Return stamp and body of the result that is kept."""
        ...

    def forget(self, key: str) -> None:
        """Drop the result that is kept."""
        ...


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
