"""`python -m bench.cold`: the cost of a scrape on new connections, compared with open ones; part of `make bench`.

Scrapes one hub with one worker process, alternating between cold scrapes (after the simulator has closed all
connections) and warm ones. CPU time covers gunicorn and its worker. Exits with 1 if a goal is not met.
"""

import argparse
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.support.hubs import ROOT

from .shapes import LATENCIES, SHAPES, name_of, simulator_of
from .versus import Version, started

# The highest allowed ratio of a cold scrape's CPU to a warm scrape's.
GOAL = 1.5
_SHAPES = ("100 queues", "100 queues + 100 topics x 10")
# Slept before each scrape, cold or warm, because a processor that has just done the same work is faster. The hub also
# uses this time to notice that its connections were closed.
_PAUSE_SECONDS = 0.1
# Warm scrapes measured after a cold one. An unmeasured scrape comes first, to open connections that the cold one did
# not need.
_WARM = 3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cold", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="cold scrapes of each namespace")
    options = parser.parse_args(arguments)
    met = True
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-cold-")))
        simulator = simulator_of(stack, folder, {shape: SHAPES[shape] for shape in _SHAPES})
        hub = started(stack, ROOT, simulator)
        print(f"cold and warm scrapes, alternating; ms per scrape, medians of {options.rounds} rounds")
        print(
            f"{'namespace':38} {'latency':>7} | {'cold CPU':>8} {'warm':>6} | {'cold wall':>9} {'warm':>6} | "
            f"{'CPU ratio':>9} {'at most':>7}"
        )
        for shape in _SHAPES:
            for latency in LATENCIES:
                met &= _row(hub, simulator["control_url"], shape, latency, options.rounds)
    return 0 if met else 1


def _row(hub: Version, control: str, shape: str, latency: int, rounds: int) -> bool:
    name = name_of(shape, latency)
    hub.check(name)
    cold: list[tuple[float, float]] = []
    warm: list[tuple[float, float]] = []
    for _ in range(rounds):
        request = urllib.request.Request(f"{control}/connections", method="DELETE")
        urllib.request.urlopen(request, timeout=10).close()
        cold.append(_scrape(hub, name))
        hub.scrape(name)
        warm += [_scrape(hub, name) for _ in range(_WARM)]
    (cold_cpu, cold_wall), (warm_cpu, warm_wall) = map(_medians, (cold, warm))
    ratio = cold_cpu / warm_cpu
    print(
        f"{shape:38} {latency:>4} ms | {cold_cpu:>8.1f} {warm_cpu:>6.1f} | {cold_wall:>9.1f} {warm_wall:>6.1f} | "
        f"{ratio:>9.2f} {GOAL:>7.2f} {'met' if ratio <= GOAL else 'NOT MET'}",
        flush=True,
    )
    return ratio <= GOAL


def _scrape(hub: Version, name: str) -> tuple[float, float]:
    """Return the CPU and the wall time of a scrape, in milliseconds."""
    time.sleep(_PAUSE_SECONDS)
    cpu, wall = hub.cpu_nanoseconds(), time.perf_counter_ns()
    hub.scrape(name)
    wall, cpu = time.perf_counter_ns() - wall, hub.cpu_nanoseconds() - cpu
    return cpu / 1e6, wall / 1e6


def _medians(values: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(cpu for cpu, _ in values), statistics.median(wall for _, wall in values)


if __name__ == "__main__":
    sys.exit(main())
