"""What happens during reads, as values: for metrics and logs that are kept above.

Requests can end after their read, for example when it is cancelled. So a read doesn't return its events, but appends
them to a deque that its caller gave it. The caller takes them from the other end, in any thread, each one once.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple


class Answered(NamedTuple):
    """A request ended."""

    status: int  # the HTTP status of the response; 0: there was none


class SpareUsed(NamedTuple):
    """A spare secret was used for a request."""

    credential_id: int
    name: str
    team: str


class ThrottlingBegan(NamedTuple):
    """Service Bus throttles a namespace that was read at its full rate before."""

    namespace: str
    requests_per_second: float
    pause_seconds: float


class ThrottlingEnded(NamedTuple):
    """A namespace is read at its full rate again."""

    namespace: str


Event = Answered | SpareUsed | ThrottlingBegan | ThrottlingEnded
Events = deque[Event]
DISCARDED: Events = deque(maxlen=0)


def take(events: Events) -> Iterator[Event]:
    """Take all events, the oldest first. Safe from any thread."""
    while True:
        try:
            event = events.popleft()
        except IndexError:
            return
        yield event
