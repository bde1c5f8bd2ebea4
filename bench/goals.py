"""The goals for one run of `make bench`, next to the figures it reached; bench.versus has the CPU goals."""

import statistics
import time
from dataclasses import dataclass

from exporters.prometheus import text
from exporters.prometheus.collector import SnapshotCollector
from exporters.servicebus.entities import Counts, NamespaceInfo, Queue, Snapshot

_WIDE = ("1,000 topics x 5", 50)
_SAMPLES = 100_000


@dataclass(frozen=True)
class Row:
    """The medians for one shape at one latency, in seconds."""

    shape: str
    latency: int
    wall: float
    cpu: float
    floor: float


@dataclass(frozen=True)
class Goal:
    what: str
    reached: float
    at_most: float
    unit: str

    def __str__(self) -> str:
        met = "met" if self.reached <= self.at_most else "NOT MET"
        return f"{self.what:72} {self.reached:>9.2f} {self.at_most:>9.2f} {self.unit:10} {met}"


def of_row(row: Row) -> list[Goal]:
    """Return the goals for a row of the table."""
    where = f"{row.shape} at {row.latency} ms"
    goals = []
    if row.latency:
        goals.append(Goal(f"{where}: wall / floor", row.wall / row.floor, 1.5, ""))
    if (row.shape, row.latency) == _WIDE:
        goals += [
            Goal(f"{where}: wall", row.wall, 2.6, "s"),
            Goal(f"{where}: CPU", row.cpu, 1.2, "s"),
        ]
    return goals


def of_rendering() -> list[Goal]:
    """Measure building the families and their text in this process, for 100,000 samples in one response."""
    entities = _SAMPLES // 13
    queues = tuple(
        Queue(
            f"queue-{number}",
            "active",
            Counts(number, number % 5, 0, 0, 0),
            *(number, number * 1000, 2**30, 1.7e9, 1.7e9 + number, 1.71e9, 10, 60.0, None, False, False),
        )
        for number in range(entities + 1)
    )
    info = NamespaceInfo("large", "Premium", 1)
    snapshot = Snapshot(queues=queues, info=info, collectors={"queues": None})
    seconds, body = [], b""
    for _ in range(5):
        began = time.process_time()
        body = text.render(SnapshotCollector(snapshot).collect(), text.negotiate(""))
        seconds.append(time.process_time() - began)
    samples = sum(not line.startswith(b"#") for line in body.splitlines())
    each = statistics.median(seconds) / samples * 1e6
    return [Goal(f"families and text of {samples:,} samples in one answer, each", each, 3.0, "us CPU")]
