"""The first working store of several with different reach.

A store that fails is not used until a probe of everything that scrapes need succeeds, so a broken store costs sharing
but never a scrape.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..telemetry import metrics
from .lease_watch import Watch
from .store import Lease, Store, StoreError

logger = logging.getLogger(__name__)

# How long a failed store is not tried. Short, so that sharing resumes soon after an outage.
_REST_SECONDS = 3.0
# The maximum age of a probe's result for readiness.
_PROBED_SECONDS = 10.0

T = TypeVar("T")


class Layered:
    """Uses the first store that works."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._layers = [Layer(store) for store in stores]
        self._watch = Watch()

    @property
    def waits(self) -> bool:
        return any(layer.store.waits for layer in self._layers)

    def degraded(self) -> dict[str, str]:
        """Return the names of the stores that don't work, each with the reason."""
        return {layer.store.name: layer.problem for layer in self._layers if layer.problem}

    def probe(self) -> None:
        """Probe all stores, unless that was done in the last 10 s."""
        for layer in self._layers:
            layer.probe(_PROBED_SECONDS)

    def do(self, action: Callable[[Store], T]) -> T:
        """Return the action's result on the first store that works; raise the last StoreError if none does."""
        return self._first(action)[0]

    def lease(self, key: str, seconds: float, wanted_seconds: float) -> "HeldLease | Wait":
        """Return the lease from the first store that works, or a Wait for its end if it is already held.

        The lease is renewed until it is released. If that or the release fails, the store counts as failed.
        """
        lease, layer = self._first(lambda store: store.lease(key, seconds, wanted_seconds))
        if lease is None:
            return Wait(self._watch, layer, key)
        return HeldLease(self._watch, layer, lease)

    def close(self) -> None:
        """Stop watching leases."""
        self._watch.close()

    def _first(self, action: Callable[[Store], T]) -> "tuple[T, Layer]":
        problem: StoreError | None = None
        for layer in self._layers:
            if not layer.works():
                continue
            try:
                return action(layer.store), layer
            except StoreError as error:
                problem = error
                layer.note_failure(error)
        raise problem or StoreError("No store is available.")


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
        # Wait for the first probe, because anything shared in another store meanwhile would be lost. After a failure,
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


class HeldLease:
    """A lease whose failures count as failures of its store. They cost at most a read that could have been shared."""

    def __init__(self, watch: Watch, layer: Layer, lease: Lease) -> None:
        self._watch = watch
        self._layer = layer
        self._lease: Lease | None = lease
        try:
            watch.hold(layer, lease)
        except RuntimeError:  # the process can't start another thread
            self.release()
            raise

    def release_unless_wanted(self) -> bool:
        """Release the lease unless a process waits for the result; return whether it is released."""
        return self._release(lambda lease: lease.release_unless_wanted())

    def release(self) -> None:
        """Release the lease, unless it is already released."""
        self._release(lambda lease: lease.release())

    def _release(self, action: Callable[[Lease], bool | None]) -> bool:
        lease = self._lease
        if lease is None:
            return True
        try:
            if action(lease) is False:
                return False
        except StoreError as error:
            self._layer.note_failure(error)
        self._lease = None
        self._watch.let_go(lease)
        return True


class Wait:
    """Waits for a lease that another process or thread holds."""

    def __init__(self, watch: Watch, layer: Layer, key: str) -> None:
        self._watch = watch
        self._layer = layer
        self._key = key

    def until_it_ends(self, seconds: float) -> bool:
        """Sleep until the lease has ended; return False if it has not after `seconds` seconds.

        Also returns True if that can no longer be known, because its store has failed.
        """
        return self._watch.wait(self._layer, self._key, seconds)
