"""`make bench AGAINST=<commit>`, or `python -m bench.versus <commit>`: compare this version's CPU with an older one's.

Each version runs as a separate hub with one worker process, on the same packages, and reads the same simulator. They
are scraped as by Prometheus, over persistent connections, without a budget, and in alternating blocks: some scrapes of
one, then of the other, and so on, so that other load on the machine affects both. CPU is the time that gunicorn and its
worker used. Exits with 1 if a goal is not met.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.hubs import ROOT, Hub, quantile

from .scraping import HEADERS
from .shapes import LATENCIES, SHAPES, name_of, simulator_of

# The goals by shape: the highest allowed ratio of this version's CPU to that of the older one (version 319e34e).
GOALS = {"100 queues": 0.6, "100 queues + 100 topics x 10": 0.75}
GROUPS: dict[str, dict[str, Any]] = {"default": {}, "counts": {"metric_groups": ["counts"]}}
# Approximate length of a block of scrapes: long enough for its CPU to be many times that of the hub's other work.
_BLOCK_SECONDS = 0.3
# Scrapes before the measured ones, which fill caches: connections, page layouts, page counts.
_WARM_UP = 8
# Lifted, so that no scrape waits.
LIMITS = {"concurrency": 32, "timeout_seconds": 100, "requests_per_second": 10_000, "burst": 10_000}
_HEADERS = {**HEADERS, "X-Prometheus-Scrape-Timeout-Seconds": "100"}


class Version(Hub):
    """The hub of one version; its commands and its worker run in that version's folder."""

    def __init__(self, root: Path, variables: dict[str, str]) -> None:
        super().__init__(variables)
        self.root = root
        self._client: http.client.HTTPConnection | None = None
        self._token = ""

    def working_directory(self) -> Path:
        return self.root

    def prepare(self, namespaces: Mapping[str, str], **fields: Any) -> str:
        """Do the same with the version's own code, in two steps because older versions can't do it in one."""
        self.manage("prepare")
        wanted = {"namespaces": namespaces, "fields": {**LIMITS, **fields}}
        # Versions before the move of the seed have it in bench/.
        moved = (self.root / "tests/support/seed.py").is_file()
        module = "tests.support.seed" if moved else "bench.seed"
        self._token = self.manage(module=module, text=json.dumps(wanted)).strip()
        return self._token

    def scrape(self, namespace: str) -> bytes:
        """Scrape over a persistent connection; return the raw body. Raises RuntimeError for a status other than 200."""
        if self._client is None:
            self._client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {**_HEADERS, "Authorization": f"Bearer {self._token}"}
        self._client.request("GET", f"/metrics/{namespace}", headers=headers)
        answer = self._client.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{namespace}: status {answer.status}: {body[:200]!r}")
        return body

    def check(self, namespace: str) -> None:
        """Raise RuntimeError unless a scrape reads everything."""
        status, body = self.get(f"/metrics/{namespace}", self._token, timeout=120)
        if status != 200 or "\nservicebus_up 1.0" not in body:
            errors = [line for line in body.splitlines() if "error" in line]
            raise RuntimeError(f"{namespace}: status {status}, {errors}")

    def cpu_nanoseconds(self) -> int:
        """Return the CPU time of gunicorn and its worker, including threads that have ended."""
        return sum(_cpu_nanoseconds(pid) for pid in (self.pid, *(worker.pid for worker in self.workers())))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        super().close()


@dataclass(frozen=True)
class Measured:
    """The time per scrape in each block, in milliseconds."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-versus-")))
        older = _checked_out(options.commit, folder / "older")
        shapes = {shape: SHAPES[shape] for shape in GOALS if options.only in (None, shape)}
        simulator = simulator_of(stack, folder, shapes)
        print(
            f"this version and {options.commit}, one worker process each; ms per scrape, median and quartiles of "
            f"{options.rounds} alternating blocks"
        )
        print(
            f"{'namespace, groups':38} {'latency':>7} | {'CPU':>20} {'older':>20} | {'wall':>6} {'older':>6} | "
            f"{'CPU ratio':>9} {'at most':>7}"
        )
        met = True
        for groups in GROUPS if options.groups is None else (options.groups,):
            with ExitStack() as running:
                ours, theirs = (started(running, root, simulator, **GROUPS[groups]) for root in (ROOT, older))
                for shape in shapes:
                    for latency in LATENCIES:
                        if options.latency in (None, latency):
                            name = name_of(shape, latency)
                            new, old = _in_turn(ours, theirs, name, options.rounds)
                            met &= _row(f"{shape}, {groups}", latency, new, old, GOALS[shape])
    return 0 if met else 1


def _checked_out(commit: str, folder: Path) -> Path:
    """Write the files of a commit into a folder; return the folder."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def started(stack: ExitStack, root: Path, simulator: dict[str, Any], **fields: Any) -> Version:
    """Start a version's hub with the simulator's namespaces, until the stack closes."""
    variables = {"HUB_ALLOW_LOOPBACK": "1", "HUB_CA_FILE": simulator["ca_file"], "HUB_WORKERS": "1"}
    hub = Version(root, variables)
    stack.callback(hub.close)
    strings = {name: namespace["connection_string"] for name, namespace in simulator["namespaces"].items()}
    hub.prepare(strings, **fields)
    hub.start()
    return hub


def _in_turn(ours: Version, theirs: Version, namespace: str, rounds: int) -> tuple[Measured, Measured]:
    hubs = (ours, theirs)
    for hub in hubs:
        hub.check(namespace)
        seconds = []
        for _ in range(_WARM_UP):
            began = time.perf_counter()
            hub.scrape(namespace)
            seconds.append(time.perf_counter() - began)
    scrapes = max(1, round(_BLOCK_SECONDS / statistics.median(seconds)))
    measured = (Measured(), Measured())
    for number in range(rounds):
        # Alternate which hub goes first.
        for place in (0, 1) if number % 2 else (1, 0):
            cpu, wall = _block(hubs[place], namespace, scrapes)
            measured[place].cpu.append(cpu)
            measured[place].wall.append(wall)
    return measured


def _block(hub: Version, namespace: str, scrapes: int) -> tuple[float, float]:
    """Return the CPU and the wall time of one scrape, in milliseconds."""
    hub.scrape(namespace)  # the processor's caches are cold after the other hub's turn
    cpu, wall = hub.cpu_nanoseconds(), time.perf_counter_ns()
    for _ in range(scrapes):
        hub.scrape(namespace)
    wall, cpu = time.perf_counter_ns() - wall, hub.cpu_nanoseconds() - cpu
    return cpu / scrapes / 1e6, wall / scrapes / 1e6


def _row(what: str, latency: int, new: Measured, old: Measured, at_most: float) -> bool:
    """Print a row; return whether its goal is met."""
    ratio = statistics.median(new.cpu) / statistics.median(old.cpu)
    print(
        f"{what:38} {latency:>4} ms | {_spread(new.cpu)} {_spread(old.cpu)} | "
        f"{statistics.median(new.wall):>6.1f} {statistics.median(old.wall):>6.1f} | "
        f"{ratio:>9.2f} {at_most:>7.2f} {'met' if ratio <= at_most else 'NOT MET'}",
        flush=True,
    )
    return ratio <= at_most


def _spread(values: Sequence[float]) -> str:
    low, high = quantile(values, 0.25), quantile(values, 0.75)
    return f"{statistics.median(values):>6.1f} ({low:>5.1f}-{high:>5.1f})"


def _cpu_nanoseconds(pid: int) -> int:
    """Return the CPU time of a process in nanoseconds; /proc counts it in ticks of 10 ms."""
    return time.clock_gettime_ns((~pid << 3) | 2)  # clock_getcpuclockid(3); Python has it only for threads


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.versus", description=__doc__)
    parser.add_argument("commit", help="the older version")
    parser.add_argument("--rounds", type=int, default=12, help="blocks of each version, for each row")
    parser.add_argument("--only", choices=list(GOALS), help="one shape alone")
    parser.add_argument("--latency", type=int, choices=LATENCIES, help="one latency alone, in ms")
    parser.add_argument("--groups", choices=list(GROUPS), help="one choice of metric groups alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
