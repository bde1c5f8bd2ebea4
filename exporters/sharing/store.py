"""Where scrapes keep what they share: small values, results, and leases on a read that is under way.

Three stores do the same in different reach: Redis for replicas, files for the worker processes of one machine, memory
for the threads of one process. `Layered` uses the first that works. A store that fails is left alone until a probe of
all that scrapes need succeeds, so that a broken one costs sharing and never a scrape.

Each store has its own time, which all who use it have in common: Redis its server's, files and memory the machine's
clock since its start. Ages are differences of a store's own times, so no machine's date plays a part in them.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from .. import telemetry

logger = logging.getLogger(__name__)

# How long a store that failed is not asked again. Short enough that sharing is back soon after an outage.
_REST_SECONDS = 3.0
# How old the result of a probe may be for readiness.
_PROBED_SECONDS = 10.0

# A budget is 97 bytes long.
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
        """Give it up; raise StoreError when that can't be done."""
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

    def probe(self) -> None:
        """Use everything that scrapes need once; raise StoreError if any of it fails."""
        ...


def checked(value: bytes) -> bytes:
    """Return a small value; raise StoreError if it is too long to be one."""
    if len(value) > MAX_SHARED_VALUE_BYTES:
        raise StoreError(f"A shared value is longer than {MAX_SHARED_VALUE_BYTES} bytes.")
    return value


def use_everything(store: Store, key: str, seconds: float) -> None:
    """Run all methods of a store once, as its probe; what is left of the key is kept for so many seconds."""
    store.update(key, lambda found, now: (b"probe", None), seconds)
    lease = store.lease(key, seconds)
    if lease is not None:  # another process probes at this moment
        lease.renew()
        lease.release()
    store.is_leased(key)
    store.put(key, Kept("probe", b"probe", 0.0), seconds)
    store.stamp(key)
    store.get(key)
    store.forget(key)


class Layered:
    """The first store that works."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._layers = [_Layer(store) for store in stores]

    @property
    def waits(self) -> bool:
        return any(layer.store.waits for layer in self._layers)

    def degraded(self) -> dict[str, str]:
        """Return the names of the stores that don't work, each with the reason."""
        return {layer.store.name: layer.problem for layer in self._layers if layer.problem}

    def probe(self) -> None:
        """Find out which stores work now; a result of the last 10 s will do."""
        for layer in self._layers:
            layer.probe(_PROBED_SECONDS)

    def do(self, action: Callable[[Store], T]) -> T:
        """Return what the action makes of the first store that works; the last one's StoreError if there is none."""
        return self._first(action)[0]

    def lease(self, key: str, seconds: float) -> Lease | None:
        """Return the lease of the first store that works, None when somebody else holds it; never raises later on.

        A lease that can't be renewed or released shows that its store doesn't work.
        """
        lease, layer = self._first(lambda store: store.lease(key, seconds))
        return None if lease is None else _WatchedLease(lease, layer)

    def _first(self, action: Callable[[Store], T]) -> "tuple[T, _Layer]":
        problem: StoreError | None = None
        for layer in self._layers:
            if not layer.works():
                continue
            try:
                return action(layer.store), layer
            except StoreError as error:
                problem = error
                layer.note_failure(error)
        raise problem or StoreError("No store works at this moment.")


class _Layer:
    """A store, and whether it works; safe to be used by many threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.problem = ""
        self._works = False  # until a probe has succeeded
        self._rests_until = -math.inf  # monotonic
        self._probed_at = -math.inf  # monotonic
        self._probing = threading.Lock()
        self._lock = threading.Lock()

    def works(self) -> bool:
        """Tell whether the store may be used; probes one that was never used or has rested after a failure."""
        if self._works:
            return True
        if self._rests_until > time.monotonic():
            return False
        # The first probe is waited for, as what is shared elsewhere meanwhile would be lost. After a failure one thread
        # tries, and the others go on with the next store.
        if not self._probing.acquire(blocking=not self.problem):
            return False
        try:
            if not self._works and self._rests_until <= time.monotonic():
                self._probe()
            return self._works
        finally:
            self._probing.release()

    def probe(self, seconds: float) -> None:
        """Probe the store unless that was done within so many seconds."""
        with self._probing:
            if time.monotonic() - self._probed_at >= seconds:
                self._probe()

    def note_failure(self, error: StoreError) -> None:
        telemetry.SHARED_STATE_ERRORS.labels(self.store.name).inc()
        with self._lock:
            first, self.problem = not self.problem, str(error)
            self._works, self._rests_until = False, time.monotonic() + _REST_SECONDS
        if first:
            logger.warning("Scrapes share nothing through %s for now, and go on: %s", self.store.name, error)

    def _probe(self) -> None:
        try:
            self.store.probe()
        except StoreError as error:
            self.note_failure(error)
        else:
            with self._lock:
                again, self.problem, self._works = bool(self.problem), "", True
            if again:
                logger.info("Scrapes share through %s again.", self.store.name)
        self._probed_at = time.monotonic()


class _WatchedLease:
    """A lease whose failures are those of its store. They cost at most a read that could have been shared."""

    def __init__(self, lease: Lease, layer: _Layer) -> None:
        self._lease = lease
        self._layer = layer

    def renew(self) -> None:
        self._watched(self._lease.renew)

    def release(self) -> None:
        self._watched(self._lease.release)

    def _watched(self, action: Callable[[], None]) -> None:
        try:
            action()
        except StoreError as error:
            self._layer.note_failure(error)
