"""How many requests of one read are under way at a time, and so how many connections it opens."""

import math

# What waits is worth further connections when it would take longer than this over those that are open. A new TLS
# connection costs more CPU than ten requests on a kept one, and two round trips before its first request.
_WORTH_SECONDS = 0.5
# Round trips before the first request on a new connection.
_ROUND_TRIPS = 2


class Parallelism:
    """Decides for one read.

    A read that finds a connection kept from an earlier one uses all it is allowed: what it opens will be used again.
    Otherwise it begins with one connection, and opens more as far as the requests that wait pay for them. So a scrape
    of a namespace that is rarely scraped costs one TLS handshake, and a large namespace is still read quickly.
    """

    def __init__(self, most: int, *, is_warm: bool) -> None:
        """`most`: requests under way at a time, whatever the endpoint does."""
        self.most = most
        self._allowed = most if is_warm else 1
        self._answer_seconds = 0.0  # the shortest time; the first one on a connection is longer

    @property
    def may_grow(self) -> bool:
        return self._allowed < self.most

    def note_answer(self, seconds: float) -> None:
        """Take note of how long an answer took."""
        self._answer_seconds = min(self._answer_seconds or seconds, seconds)

    def allowed(self, waiting: int, asked_seconds: float, left_seconds: float) -> int:
        """Return how many requests may be under way now; the number never falls.

        `waiting`: requests that have not begun. `asked_seconds`: how long the oldest one under way has been waiting for
        its answer. `left_seconds`: until the read's deadline.
        """
        if self.may_grow and waiting:
            answer_seconds = max(self._answer_seconds, asked_seconds - _ROUND_TRIPS * self._answer_seconds)
            worth = max(0.001, min(_WORTH_SECONDS, left_seconds / 2))
            self._allowed = min(self.most, max(self._allowed, math.ceil(waiting * answer_seconds / worth)))
        return self._allowed
