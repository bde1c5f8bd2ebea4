"""The store of one process: what is left when nothing else works."""

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TypeVar

from ..servicebus import clock
from .store import Change, Kept, Lease, checked, use_everything

T = TypeVar("T")

# Results are kept for a hub that has no place on disk: few, as each can take some 100 kB.
_KEPT_RESULTS = 64


class MemoryStore:
    name = "memory"
    waits = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, bytes] = {}
        self._leases: set[str] = set()
        # By key, with the moment at which its age was 0.
        self._results: OrderedDict[str, tuple[float, Kept]] = OrderedDict()

    def update(self, key: str, change: Change[T], seconds: float) -> T:
        with self._lock:
            changed, result = change(self._values.get(key), clock.now())
            self._values[key] = checked(changed)
            return result

    def lease(self, key: str, seconds: float) -> Lease | None:
        with self._lock:
            if key in self._leases:
                return None
            self._leases.add(key)
        return _MemoryLease(self, key)

    def is_leased(self, key: str) -> bool:
        return key in self._leases

    def put(self, key: str, kept: Kept, seconds: float) -> None:
        with self._lock:
            self._results[key] = (clock.now() - kept.age_seconds, kept)
            self._results.move_to_end(key)
            if len(self._results) > _KEPT_RESULTS:
                self._results.popitem(last=False)

    def stamp(self, key: str) -> str | None:
        found = self._results.get(key)
        return found[1].stamp if found else None

    def get(self, key: str) -> Kept | None:
        found = self._results.get(key)
        return replace(found[1], age_seconds=clock.now() - found[0]) if found else None

    def forget(self, key: str) -> None:
        with self._lock:
            self._results.pop(key, None)

    def probe(self) -> None:
        """See Store."""
        use_everything(self, "probe", 1.0)

    def _release(self, key: str) -> None:
        with self._lock:
            self._leases.discard(key)


class _MemoryLease:
    def __init__(self, store: MemoryStore, key: str) -> None:
        self._store = store
        self._key = key

    def renew(self) -> None:
        """Nothing to do."""

    def release(self) -> None:
        self._store._release(self._key)
