"""A limit on concurrent work: by user, address or namespace, and overall."""

import threading
from collections import Counter
from enum import Enum, auto


class Full(Enum):
    """Why no place is free."""

    OWN = auto()  # this user, address or namespace has as many places as one may have
    ALL = auto()


class ConcurrencyLimit:
    """Counts places. Thread-safe."""

    def __init__(self, of_one: int, of_all: int) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, who: str) -> Full | None:
        """Take a place and return None; if none is free, return the reason."""
        with self._lock:
            if self._taken[who] >= self._of_one:
                return Full.OWN
            if self._taken.total() >= self._of_all:
                return Full.ALL
            self._taken[who] += 1
            return None

    def give(self, who: str) -> None:
        """Return a place."""
        with self._lock:
            self._taken[who] -= 1
            if self._taken[who] <= 0:
                del self._taken[who]
