"""What the hub is to reach, beside what one run of `make bench` reached."""

import statistics
import time
from dataclasses import dataclass

from exporters.prometheus import text
from exporters.prometheus.collector import SnapshotCollector
from exporters.servicebus.entities import Counts, NamespaceInfo, Queue, Snapshot

# The widely used exporter in Go (a namespace for each process, one request after another, first pages only), measured
# on a 2-core machine against the same kind of stand-in: (shape, latency in ms) -> wall and CPU seconds of one scrape,
# with 7 samples for each entity, where the hub's defaults make 11 to 13.
_GO = {
    ("100 queues", 0): (0.021, 0.023),
    ("100 queues + 100 topics x 10", 0): (0.335, 0.332),
    ("100 queues + 100 topics x 10", 20): (2.38, 0.354),
    ("100 queues + 100 topics x 10", 50): (5.59, 0.416),
}
_WIDE = ("1,000 topics x 5", 50)
_SAMPLES = 100_000


@dataclass(frozen=True)
class Row:
    """Medians of one shape at one latency; seconds."""

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
    """Return the goals that a row of the table has."""
    case, where = (row.shape, row.latency), f"{row.shape} at {row.latency} ms"
    goals = []
    if row.latency:
        goals.append(Goal(f"{where}: wall / floor", row.wall / row.floor, 1.5, ""))
    if case in _GO:
        wall, cpu = _GO[case]
        goals.append(Goal(f"{where}: CPU / the Go exporter's {cpu * 1000:.0f} ms", row.cpu / cpu, 0.4, ""))
        if not row.latency:
            goals.append(
                Goal(f"{where}: wall / the Go exporter's {wall * 1000:.0f} ms", row.wall / wall, 0.5, "")
            )
    if case == _WIDE:
        goals += [
            Goal(f"{where}: wall", row.wall, 2.6, "s"),
            Goal(f"{where}: CPU", row.cpu, 1.2, "s"),
        ]
    return goals


def of_rendering() -> list[Goal]:
    """Measure families plus text in this process, for 100,000 samples in one answer."""
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
