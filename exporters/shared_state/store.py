"""Where scrapes keep what they share: small values, results, and leases on reads under way.

Three stores have the same interface and differ in scope: Redis for replicas, files for one machine's worker processes,
memory for the threads of one process. `layered.Layered` uses the first that works.

Each store has its own clock, common to all its users: Redis its server's, files and memory the machine's clock since
boot. Ages are differences between times of the same store, so they don't depend on any machine's date.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ..telemetry import metrics

logger = logging.getLogger(__name__)

# A budget has at most 112 bytes, and a failure that is remembered 3,700.
MAX_SHARED_VALUE_BYTES = 4_096
# How long a failed store is not tried. Short, so that sharing resumes soon after an outage.
_REST_SECONDS = 3.0

T = TypeVar("T")
# Takes a value (None if there is none) and the store's time in seconds; returns the new value and a result.
Change = Callable[[bytes | None, float], tuple[bytes, T]]


class StoreError(Exception):
    """The store currently doesn't work; the message contains no address and no secret."""


class Lease(Protocol):
    """The exclusive right to read a namespace. Ends with its process, or soon after."""

    def release_unless_wanted(self) -> bool:
        """Release the lease unless a process waits for the result; return whether it was released."""
        ...

    def release(self) -> None:
        """Release the lease, and notify the processes that wait for its end."""
        ...


class Listener(Protocol):
    """Notifies a process of the ends of leases that it was refused."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is something to read."""
        ...

    def read(self) -> list[str]:
        """Return the keys of ended leases, without waiting. Some may already be held again."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A result as kept by a store."""

    stamp: str
    body: bytes
    age_seconds: float  # negative if the store's clock was set back since


class Store(Protocol):
    """Keys are hex digests. All methods raise StoreError if the store doesn't work."""

    name: str
    # Whether calls may wait for a network, and so must not be made on an event loop.
    waits: bool

    def update(self, key: str, change: Change[T], seconds: float) -> T:
        """Atomically replace a small value with the result of `change`; keep it for at least `seconds` seconds.

        `change` gets the value and the store's time in seconds, and may be called more than once. Returns its second
        result. A value has at most MAX_SHARED_VALUE_BYTES bytes.
        """
        ...

    def lease(self, key: str, seconds: float, wanted_seconds: float) -> Lease | None:
        """Return the lease, or None if it is already held.

        `seconds` is how long it lives without a renewal. `wanted_seconds` is how long a process that is refused waits
        for its end, and wants the result.
        """
        ...

    def renew(self, leases: Sequence[Any]) -> None:
        """Renew these leases of this store; those that were lost in the meantime stay lost."""
        ...

    def ended(self, keys: Sequence[str]) -> list[str]:
        """Return the keys whose lease nobody holds."""
        ...

    def listen(self) -> Listener:
        """Start to listen for the ends of leases that this process is or will be refused."""
        ...

    def put(self, key: str, kept: Kept, seconds: float) -> None:
        """Keep a result, with a stamp that distinguishes it from others, until it is at least `seconds` seconds old."""
        ...

    def stamp(self, key: str) -> str | None:
        """Return the stamp of the kept result."""
        ...

    def get(self, key: str) -> Kept | None:
        """Return the kept result with its current age."""
        ...

    def forget(self, key: str) -> None:
        """Drop the kept result."""
        ...

    def probe(self) -> None:
        """Use everything that scrapes need once; raise StoreError if any of it fails."""
        ...


def checked(value: bytes) -> bytes:
    """Return a small value; raise StoreError if it is too long."""
    if len(value) > MAX_SHARED_VALUE_BYTES:
        raise StoreError(f"A shared value is longer than {MAX_SHARED_VALUE_BYTES} bytes.")
    return value


class Layer:
    """A store, and whether it works. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.problem = ""
        self._works = False  # until a probe succeeds
        self._rests_until = -math.inf  # monotonic
        self._probed_at = -math.inf  # monotonic
        self._probing = threading.Lock()
        self._lock = threading.Lock()

    def works(self) -> bool:
        """Return whether the store may be used; probe it if it is new, or has rested after a failure."""
        if self._works:
            return True
        if self._rests_until > time.monotonic():
            return False
        # Wait for the first probe, because anything shared in another store until then would be lost. After a failure,
        # one thread probes, and the others continue with the next store.
        if not self._probing.acquire(blocking=not self.problem):
            return False
        try:
            if not self._works and self._rests_until <= time.monotonic():
                self._probe()
            return self._works
        finally:
            self._probing.release()

    def is_working(self) -> bool:
        """Return whether the store may be used, without a probe."""
        return self._works

    def probe(self, seconds: float) -> None:
        """Probe the store, unless that was done in the last `seconds` seconds."""
        with self._probing:
            if time.monotonic() - self._probed_at >= seconds:
                self._probe()

    def note_failure(self, error: StoreError) -> None:
        metrics.SHARED_STATE_ERRORS.labels(self.store.name).inc()
        with self._lock:
            first, self.problem = not self.problem, str(error)
            self._works, self._rests_until = False, time.monotonic() + _REST_SECONDS
        if first:
            logger.warning(
                "Scrapes can't share reads through %s for now, and continue: %s", self.store.name, error
            )

    def _probe(self) -> None:
        try:
            self.store.probe()
        except StoreError as error:
            self.note_failure(error)
        else:
            with self._lock:
                again, self.problem, self._works = bool(self.problem), "", True
            if again:
                logger.info("Scrapes share reads through %s again.", self.store.name)
        self._probed_at = time.monotonic()


def use_everything(store: Store, key: str, seconds: float) -> None:
    """Call all methods of a store once, as its probe; anything left of the key is kept for `seconds` seconds."""
    store.update(key, lambda found, now: (b"probe", None), seconds)
    listener = store.listen()
    try:
        lease = store.lease(key, seconds, seconds)
        if lease is not None:  # otherwise another process is probing
            store.lease(key, seconds, seconds)
            store.renew([lease])
            lease.release_unless_wanted()
            lease.release()
        listener.read()
    finally:
        listener.close()
    store.ended([key])
    store.put(key, Kept("probe", b"probe", 0.0), seconds)
    store.stamp(key)
    store.get(key)
    store.forget(key)
