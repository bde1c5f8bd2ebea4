"""The metrics of worker processes, summed over those that live and those that ended.

prometheus_client's multiprocess mode keeps a file for each process and kind of metric, and leaves those of ended
processes there, as their counts must stay in the sums: with workers that are replaced, they would pile up. Here the
counts of a process that ended are added to one file for all of them.
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

# In the place of a process id, in names like counter_ended.db.
_ENDED = "ended"
_KINDS = ("counter", "histogram", "gauge_max")


class Shared(Collector):
    """Yields the families of all processes that share this folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = MultiProcessCollector(CollectorRegistry(), str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        with _locked(self._folder, fcntl.LOCK_SH):
            families: list[Metric] = list(self._files.collect())  # type: ignore[no-untyped-call]
        # By name: the order of files is that of process ids, and differs from answer to answer.
        return sorted(families, key=lambda family: family.name)


def bury(folder: Path, pid: int) -> None:
    """Move the counts of a process that ended into the file for all of them; forget its live gauges.

    Under a lock that readers share: in between, the counts would be in both files, and a counter that goes up and
    down again looks to Prometheus like one that started anew.
    """
    with _locked(folder, fcntl.LOCK_EX):
        mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        for kind in _KINDS:
            path = folder / f"{kind}_{pid}.db"
            if not path.is_file():
                continue
            try:
                _add(path, folder / f"{kind}_{_ENDED}.db", keep_largest=kind == "gauge_max")
            except (
                Exception
            ) as error:  # killed in the middle of writing; every later answer would fail over it
                logger.error("Metrics of the ended process %d can't be read and are lost: %s", pid, error)
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
        os.close(descriptor)  # and the lock with it, as when the process dies
