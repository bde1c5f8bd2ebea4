"""`make bench`: the hub compared with an exporter that users would write on the SDK, and with the floor for any reader.

Prints a table while it measures. The simulator, the hub and the baseline are separate processes on this machine and
share its cores. Figures are noisy, so only the ratios within one run count. All budgets are lifted. The cost of a
scrape on new connections (bench.cold) and of label rules (bench.rules) comes last.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from exporters.servicebus.credentials import sign
from tests.support.hubs import ROOT

from . import cold, goals, rules
from .shapes import LATENCIES, SHAPES, name_of, simulator_of
from .versus import LIMITS, Version, started

CONCURRENCY = 32
# The first shape once more, answered from a cached result.
CACHED = "cached"
_CACHED_SCRAPES = 20
_MAXIMUM_SLOW_SECONDS = 30  # a baseline run that takes longer isn't repeated


class Worker:
    """A child process that does its work once per line it receives, and answers with a line of JSON."""

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def once(self) -> dict[str, float]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-")))
        simulator = simulator_of(stack, folder, SHAPES)
        hub, token = _hub(stack, simulator)
        print(
            f"concurrency {CONCURRENCY}, budget lifted, one worker process; times in ms for one scrape, median"
        )
        print(
            f"{'':30}{'latency':>8} {'requests':>8} {'samples':>8} | {'hub wall':>8} {'cpu':>6} {'peak MiB':>8} | "
            f"{'SDK wall':>8} {'cpu':>6} | {'floor':>6} | {'wall/floor':>10} {'wall/SDK':>8} {'cpu/SDK':>8}"
        )
        reached = []
        for shape, definition in SHAPES.items():
            for latency in LATENCIES:
                if options.only in (None, shape):
                    row = _row(stack, folder, simulator, (hub, token), (shape, definition, latency), options)
                    reached += goals.of_row(row)
        reached += [*_answered_from_the_cache(hub, token), *goals.of_rendering()]
        print(f"\n{'goals':72} {'reached':>9} {'at most':>9}")
        print(*reached, "", sep="\n")
    if options.only is None:
        cold.main([])
        rules.main()
    return 0


def _row(
    stack: ExitStack,
    folder: Path,
    simulator: dict[str, Any],
    hub: tuple[Version, str],
    case: tuple[str, dict[str, int], int],
    options: argparse.Namespace,
) -> goals.Row:
    shape, definition, latency = case
    name = name_of(shape, latency)
    told = simulator["namespaces"][name]
    ours = _measure_hub(*hub, name, options.repeats)
    floor_worker = Worker(
        "bench.floor", simulator["ca_file"], str(CONCURRENCY), *_floor_inputs(folder, told, name, definition)
    )
    stack.callback(floor_worker.close)
    floor_worker.once()  # opens the connections
    floor = statistics.median(floor_worker.once()["wall"] for _ in range(options.repeats))
    sdk: dict[str, float] | None = None
    if not options.without_baseline:
        baseline = Worker("bench.baseline", told["own_connection_string"], simulator["ca_file"])
        stack.callback(baseline.close)
        sdk = baseline.once()
        if sdk["wall"] < _MAXIMUM_SLOW_SECONDS:
            sdk = baseline.once()
    print(
        f"{shape:30}{latency:>8} {ours['requests']:>8.0f} {ours['samples']:>8.0f} | "
        f"{ours['wall'] * 1000:>8.0f} {ours['cpu'] * 1000:>6.0f} {ours['peak'] / 2**20:>8.0f} | "
        + (f"{sdk['wall'] * 1000:>8.0f} {sdk['cpu'] * 1000:>6.0f} | " if sdk else f"{'-':>8} {'-':>6} | ")
        + f"{floor * 1000:>6.0f} | {ours['wall'] / floor:>10.2f} "
        + (f"{ours['wall'] / sdk['wall']:>8.3f} {ours['cpu'] / sdk['cpu']:>8.3f}" if sdk else ""),
        flush=True,
    )
    return goals.Row(shape, latency, ours["wall"], ours["cpu"], floor)


def _answered_from_the_cache(hub: Version, token: str) -> list[goals.Goal]:
    """Measure the cost of the hub itself, with scrapes answered from a cached result with 100 queues."""
    cpus = []
    for attempt in range(_CACHED_SCRAPES + 1):
        cpu = hub.cpu_nanoseconds()
        status, body = hub.get(f"/metrics/{CACHED}", token, timeout=120)
        if attempt:
            cpus.append((hub.cpu_nanoseconds() - cpu) / 1e9)
    if status != 200 or "\nservicebus_scrape_age_seconds 0.0\n" in body:
        return []
    return [goals.Goal("CPU of a scrape answered from the cache", statistics.median(cpus) * 1000, 5.0, "ms")]


def _measure_hub(hub: Version, token: str, name: str, repeats: int) -> dict[str, float]:
    """Scrape as Prometheus does, and return the medians. The first scrape opens connections and does not count."""
    walls, cpus, body = [], [], ""
    for attempt in range(repeats + 1):
        cpu, wall = hub.cpu_nanoseconds(), time.perf_counter()
        status, body = hub.get(f"/metrics/{name}", token, timeout=120)
        wall, cpu = time.perf_counter() - wall, hub.cpu_nanoseconds() - cpu
        if status != 200 or "\nservicebus_up 1.0" not in body:
            raise RuntimeError(
                f"{name}: status {status}, {[line for line in body.splitlines() if 'error' in line]}"
            )
        if attempt:
            walls.append(wall)
            cpus.append(cpu / 1e9)
    lines = body.splitlines()
    requests = next(line for line in lines if line.startswith("servicebus_scrape_requests "))
    return {
        "wall": statistics.median(walls),
        "cpu": statistics.median(cpus),
        "samples": sum(not line.startswith("#") for line in lines),
        "requests": float(requests.split()[1]),
        "peak": max(_peak_bytes(worker) for worker in hub.workers()),
    }


def _peak_bytes(process: psutil.Process) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)


def _floor_inputs(folder: Path, told: dict[str, Any], name: str, definition: dict[str, int]) -> list[str]:
    """Return the Authorization header, and the path of a file with every URL that one scrape of the shape needs."""
    base = f"https://{told['own_host']}"
    paths = ["/$namespaceinfo?api-version=2021-05"]
    for kind in ("queues", "topics"):
        pages = max(1, -(-definition.get(kind, 0) // 100))
        paths += [
            f"/$Resources/{kind}?$skip={page * 100}&$top=100&api-version=2021-05" for page in range(pages)
        ]
    width = told.get("topic_names", [])
    paths += [
        f"/{quote(topic, safe='')}/subscriptions?$skip=0&$top=100&api-version=2021-05" for topic in width
    ]
    urls = folder / f"{name}.urls"
    urls.write_text("\n".join(base + path for path in paths))
    parts = dict(part.split("=", 1) for part in told["own_connection_string"].split(";") if "=" in part)
    header = sign(
        base, parts["SharedAccessKeyName"], parts["SharedAccessKey"].encode(), int(time.time()) + 86_400
    )
    return [header, str(urls)]


def _hub(stack: ExitStack, simulator: dict[str, Any]) -> tuple[Version, str]:
    """Start a hub with the simulator's namespaces and CACHED; return it and a token."""
    hub = started(stack, ROOT, simulator)
    first = next(iter(simulator["namespaces"].values()))
    cached = {CACHED: first["connection_string"]}
    fields = {**LIMITS, "cache_seconds": 60}
    return hub, hub.seed(namespaces=cached, fields=fields, tokens={"bench": None})[0]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="scrapes that count, for each row")
    parser.add_argument("--only", choices=list(SHAPES), help="one shape alone")
    parser.add_argument("--without-baseline", action="store_true", help="skip the slow SDK exporter")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
