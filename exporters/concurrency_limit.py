"""Concurrency limits for requests: places per user, address or namespace, and overall."""

import threading
from collections import Counter

# The reason why no place is free, as the HTTP status to answer with.
OWN_PLACES_TAKEN = 429
ALL_PLACES_TAKEN = 503


class Places:
    """Counts places. Thread-safe."""

    def __init__(self, of_one: int, of_all: int) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, who: str) -> int:
        """Take a place and return 0; if none is free, return OWN_PLACES_TAKEN or ALL_PLACES_TAKEN."""
        with self._lock:
            if self._taken[who] >= self._of_one:
                return OWN_PLACES_TAKEN
            if self._taken.total() >= self._of_all:
                return ALL_PLACES_TAKEN
            self._taken[who] += 1
            return 0

    def give(self, who: str) -> None:
        """Return a place."""
        with self._lock:
            self._taken[who] -= 1
            if self._taken[who] <= 0:
                del self._taken[who]
