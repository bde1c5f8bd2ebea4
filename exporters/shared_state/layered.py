"""Several stores of different scope, of which the first working one is used.

A store that fails is not used until a probe of everything that scrapes need succeeds, so a broken store costs sharing
but never a scrape.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from .lease_watch import Watch
from .store import Layer, Lease, Store, StoreError

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

        The lease is renewed until it is released. If that or the release fails, the store counts as failed. The time
        that this scrape has left tells the process that reads for how long its result is wanted: storing a result costs
        CPU time, so most results that nobody wants are not stored.
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
