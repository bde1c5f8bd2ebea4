"""Places that requests take while they are answered: so many for one of them, and so many for all."""

import threading
from collections import Counter

# Why there is no place, as a status to answer with.
OWN_PLACES_TAKEN = 429
ALL_PLACES_TAKEN = 503


class Places:
    """Safe for many threads."""

    def __init__(self, of_one: int, of_all: int) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, who: str) -> int:
        """Take a place and return 0; else return OWN_PLACES_TAKEN or ALL_PLACES_TAKEN."""
        with self._lock:
            if self._taken[who] >= self._of_one:
                return OWN_PLACES_TAKEN
            if self._taken.total() >= self._of_all:
                return ALL_PLACES_TAKEN
            self._taken[who] += 1
            return 0

    def give(self, who: str) -> None:
        """Give a place back."""
        with self._lock:
            self._taken[who] -= 1
            if self._taken[who] <= 0:
                del self._taken[who]
