"""A log of the requests to a simulated service."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

_KEPT_REQUESTS = 20_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `refused`: why it was not authorized; empty if it was."""

    method: str
    path: str  # decoded, without the query
    query: str
    status: int  # 0: no response was sent
    at: float  # Unix seconds
    refused: str = ""


class RequestLog:
    """A log of requests. Iterates over the last 20,000; the counters include all of them."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._last: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self.by_status: Counter[int] = Counter()
        self.total = 0
        self.in_flight = 0
        self.most_in_flight = 0

    def add(self, request: Request) -> None:
        self._last.append(request)
        self.by_status[request.status] += 1
        self.total += 1

    def paths(self) -> list[str]:
        return [request.path for request in list(self._last)]

    def __iter__(self) -> Iterator[Request]:
        return iter(list(self._last))

    def __len__(self) -> int:
        return self.total
