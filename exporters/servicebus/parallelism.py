"""How many requests of one read are under way at a time, and therefore how many connections it opens."""

import math

# Further connections are opened if the waiting requests would take longer than this over the open ones. A new TLS
# connection costs more CPU than ten requests on an open connection, and two round trips before its first request.
_WORTH_SECONDS = 0.5
# Round trips before the first request on a new connection.
_ROUND_TRIPS = 2


class Parallelism:
    """The number of concurrent requests for one read.

    A read that finds an open connection from an earlier read uses as many as allowed, because later reads will reuse
    them. Otherwise, it begins with one connection and opens more as the waiting requests justify them. A
    scrape of a rarely scraped namespace therefore costs one TLS handshake, and a large namespace is still read quickly.
    """

    def __init__(self, most: int, *, is_warm: bool) -> None:
        """`most`: the upper limit of requests under way at a time."""
        self.most = most
        self._allowed = most if is_warm else 1
        self._answer_seconds = 0.0  # the shortest response time; a connection's first one is longer

    @property
    def may_grow(self) -> bool:
        return self._allowed < self.most

    def note_answer(self, seconds: float) -> None:
        """Record how long a response took."""
        self._answer_seconds = min(self._answer_seconds or seconds, seconds)

    def allowed(self, waiting: int, asked_seconds: float, left_seconds: float) -> int:
        """Return how many requests may be under way now; the number never falls.

        `waiting`: requests that have not begun. `asked_seconds`: how long the oldest one under way has been waiting for
        its response. `left_seconds`: the time until the read's deadline.
        """
        if self.may_grow and waiting:
            answer_seconds = max(self._answer_seconds, asked_seconds - _ROUND_TRIPS * self._answer_seconds)
            worth = max(0.001, min(_WORTH_SECONDS, left_seconds / 2))
            self._allowed = min(self.most, max(self._allowed, math.ceil(waiting * answer_seconds / worth)))
        return self._allowed
