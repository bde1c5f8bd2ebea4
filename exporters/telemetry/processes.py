"""CPU time, memory and open files of gunicorn and its worker processes, read from /proc.

prometheus_client's ProcessCollector covers only the process that answers, so each answer would be about another one.
"""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Processes(Collector):
    """Yields the sums over a process and its children; yields nothing if there is no /proc."""

    def __init__(self, parent: int, proc: Path = Path("/proc")) -> None:
        self._parent = parent
        self._proc = proc

    def collect(self) -> Iterable[Metric]:
        try:
            master = self._stat(self._parent)
        except OSError:
            return
        children = self._children()
        cpu = sum(int(field) for field in master[11:15])  # its own, and those of children that ended
        resident, open_files, most_files = int(master[21]), *self._files(self._parent)
        for child in children:
            # It may have ended by now; the next response then counts its time as the parent's.
            with contextlib.suppress(OSError):
                stat = self._stat(child)
                files = self._files(child)
                cpu += int(stat[11]) + int(stat[12])
                resident += int(stat[21])
                open_files, most_files = open_files + files[0], most_files + files[1]
        yield CounterMetricFamily(
            "process_cpu_seconds",
            "Total CPU time of gunicorn and its worker processes in seconds, including processes that have exited.",
            value=cpu / _TICKS,
        )
        yield GaugeMetricFamily(
            "process_resident_memory_bytes",
            "Resident memory of gunicorn and its worker processes in bytes. Shared pages count once per process.",
            value=resident * _PAGE,
        )
        yield GaugeMetricFamily(
            "process_open_fds",
            "Number of open file descriptors of gunicorn and its worker processes.",
            value=open_files,
        )
        yield GaugeMetricFamily(
            "process_max_fds",
            "Maximum number of open file descriptors of gunicorn and its worker processes.",
            value=most_files,
        )
        yield GaugeMetricFamily(
            "process_start_time_seconds",
            "Start time of gunicorn, in Unix time.",
            value=self._booted() + int(master[19]) / _TICKS,
        )
        yield GaugeMetricFamily("hub_workers", "Number of live worker processes.", value=len(children))

    def _stat(self, pid: int) -> list[str]:
        """Return the fields of proc_pid_stat(5) from the third on. The second may contain spaces and brackets."""
        text = (self._proc / str(pid) / "stat").read_text()
        return text[text.rindex(")") + 2 :].split()

    def _children(self) -> list[int]:
        found = []
        for entry in self._proc.iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    state, parent = self._stat(int(entry.name))[:2]
                    if int(parent) == self._parent and state != "Z":
                        found.append(int(entry.name))
        return found

    def _files(self, pid: int) -> tuple[int, int]:
        folder = self._proc / str(pid)
        limit = re.search(r"^Max open files\s+(\d+)", (folder / "limits").read_text(), re.MULTILINE)
        return sum(1 for _ in (folder / "fd").iterdir()), int(limit[1]) if limit else 0

    def _booted(self) -> int:
        booted = re.search(r"^btime (\d+)", (self._proc / "stat").read_text(), re.MULTILINE)
        return int(booted[1]) if booted else 0
