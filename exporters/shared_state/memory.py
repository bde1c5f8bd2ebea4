"""The store for one process: the fallback if no other works."""

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from ..servicebus import clock
from .store import Change, Kept, Lease, checked, use_everything
from .wake_up_pipe import WakeUpPipe, wake_up_line

T = TypeVar("T")

# Results are kept for a hub that can't use its disk: only a few, because each can take 100 kB.
_KEPT_RESULTS = 64


class MemoryStore:
    name = "memory"
    waits = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, bytes] = {}
        # By key: the time until which someone waits for the end (clock.now()).
        self._leases: dict[str, float] = {}
        self._pipes: list[_Pipe] = []
        # By key, with the time at which its age was 0.
        self._results: OrderedDict[str, tuple[float, Kept]] = OrderedDict()

    def update(self, key: str, change: Change[T], seconds: float) -> T:
        with self._lock:
            changed, result = change(self._values.get(key), clock.now())
            self._values[key] = checked(changed)
            return result

    def lease(self, key: str, seconds: float, wanted_seconds: float) -> Lease | None:
        with self._lock:
            wanted_until = self._leases.get(key)
            if wanted_until is not None:
                self._leases[key] = max(wanted_until, clock.now() + wanted_seconds)
                return None
            self._leases[key] = 0.0
        return _MemoryLease(self, key)

    def renew(self, leases: Sequence[Any]) -> None:
        """Do nothing: a lease lives as long as this process."""

    def ended(self, keys: Sequence[str]) -> list[str]:
        return [key for key in keys if key not in self._leases]

    def listen(self) -> "_Pipe":
        pipe = _Pipe(self)
        with self._lock:
            self._pipes.append(pipe)
        return pipe

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

    def _release(self, key: str, *, unless_wanted: bool) -> bool:
        with self._lock:
            is_wanted = self._leases.get(key, 0.0) > clock.now()
            if is_wanted and unless_wanted:
                return False
            self._leases.pop(key, None)
            if is_wanted:
                for pipe in self._pipes:
                    pipe.write(key)
        return True

    def _close(self, pipe: "_Pipe") -> None:
        with self._lock:
            self._pipes.remove(pipe)


class _MemoryLease:
    def __init__(self, store: MemoryStore, key: str) -> None:
        self._store = store
        self._key = key

    def release_unless_wanted(self) -> bool:
        return self._store._release(self._key, unless_wanted=True)

    def release(self) -> None:
        self._store._release(self._key, unless_wanted=False)


class _Pipe(WakeUpPipe):
    """From the threads of a process to its listening thread."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        end, self._start = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        super().__init__(end)

    def write(self, key: str) -> None:
        with suppress(BlockingIOError):  # full: the check of all leases makes up for it
            os.write(self._start, wake_up_line(key))

    def close(self) -> None:
        self._store._close(self)
        os.close(self._start)
        super().close()
