"""Metrics summed over all worker processes, running and ended.

prometheus_client's multiprocess mode keeps a file for each process and kind of metric. The files of ended processes
stay, because the sums must include their counts; as workers are replaced, files would pile up. This module adds the
counts of an ended process to one file for all of them.
"""

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

# Replaces the process ID in file names such as counter_ended.db.
_ENDED = "ended"
_KINDS = ("counter", "histogram", "gauge_max")


class Shared(Collector):
    """Yields the metric families of all processes that share this folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = MultiProcessCollector(CollectorRegistry(), str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        with _locked(self._folder, fcntl.LOCK_SH):
            families: list[Metric] = list(self._files.collect())  # type: ignore[no-untyped-call]
        # Sort by name: the files are ordered by process ID, so their order can differ between answers.
        return sorted(families, key=lambda family: family.name)


def bury(folder: Path, pid: int) -> None:
    """Add the counts of an ended process to the file for ended processes; drop its live gauges.

    Uses a lock that readers share: in between, the counts would be in both files, and Prometheus would take the
    counter's rise and fall for a reset.
    """
    with _locked(folder, fcntl.LOCK_EX):
        mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        for kind in _KINDS:
            path = folder / f"{kind}_{pid}.db"
            if not path.is_file():
                continue
            try:
                _add(path, folder / f"{kind}_{_ENDED}.db", keep_largest=kind == "gauge_max")
            except Exception as error:  # killed while writing; it would make every later answer fail
                logger.error("Can't read the metrics of the ended process %d; they are lost: %s", pid, error)
            path.unlink()


def _add(source: Path, total: Path, *, keep_largest: bool) -> None:
    found = list(MmapedDict.read_all_values_from_file(str(source)))  # type: ignore[no-untyped-call]
    values = MmapedDict(str(total))  # type: ignore[no-untyped-call]
    try:
        for key, value, timestamp, _ in found:
            before, _ = values.read_value(key)  # type: ignore[no-untyped-call]
            after = max(before, value) if keep_largest else before + value
            values.write_value(key, after, timestamp)  # type: ignore[no-untyped-call]
    finally:
        values.close()  # type: ignore[no-untyped-call]


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)  # this releases the lock, as does the end of the process
