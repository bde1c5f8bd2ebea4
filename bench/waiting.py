"""`python -m bench.waiting [FOLDER ...]`: the cost of scrapes that wait for another replica's reads.

Two hubs with one worker process each share their reads, first through Redis and then through files. The first hub reads
namespaces that never respond; the second is scraped for the same namespaces, so that all of these scrapes wait. Prints
CPU and context switches per second of the second hub without and with them, and the commands that Redis runs. Each
FOLDER is a checkout of another version, measured in the same run. Exits with 1 if this version's waiting scrapes take
more than 1 % of a core.
"""

import argparse
import http.client
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.hubs import ROOT, Hub, Simulated
from tests.support.servers import Redis, wait_for

from .versus import Version

_CORES = 0.01
# Longer than a run takes.
_HANG_SECONDS = 90
_LIMITS = {
    "concurrency": 32,
    "timeout_seconds": _HANG_SECONDS,
    "requests_per_second": 10_000,
    "burst": 10_000,
}
# Time for threads to start and connections to open.
_SETTLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one hub, per second."""

    cpu_milliseconds: float
    context_switches: float

    def __str__(self) -> str:
        return f"{self.cpu_milliseconds:>8.1f} {self.context_switches:>9.0f}"


def main() -> int:
    options = _options()
    print(
        f"{options.scrapes} scrapes that wait for another replica's reads: cost per second, without and with "
        f"them, over {options.seconds:g} s"
    )
    print(
        f"{'':34} | {'CPU ms':>8} {'switches':>9} | {'CPU ms':>8} {'switches':>9} | Redis commands per second"
    )
    met = True
    with ExitStack() as stack:
        simulated = stack.enter_context(Simulated(options.scrapes, 1, _HANG_SECONDS))
        for store in ("redis", "files"):
            for root in (ROOT, *options.folders):
                without, waiting, commands = _measured(root, store, simulated, options)
                who = "this version" if root == ROOT else root.name
                print(f"{who + ', ' + store:34} | {without} | {waiting} | {commands}", flush=True)
                if root == ROOT:
                    more = waiting.cpu_milliseconds - without.cpu_milliseconds
                    met &= more <= 1000 * _CORES and "reads" not in commands
    print("met" if met else "NOT MET")
    return 0 if met else 1


def _measured(
    root: Path, store: str, simulated: Simulated, options: argparse.Namespace
) -> tuple[Cost, Cost, str]:
    with ExitStack() as stack:
        variables = {
            "HUB_ALLOW_LOOPBACK": "1",
            "HUB_CA_FILE": simulated.ca_file,
            "HUB_WORKERS": "1",
            "HUB_THREADS": str(options.scrapes + 50),
        }
        cache = stack.enter_context(Redis()) if store == "redis" else None
        if cache is not None:
            variables["HUB_REDIS_URL"] = cache.url
        reader = Version(root, variables)
        stack.callback(reader.close)
        token = reader.prepare(simulated.namespaces, **_LIMITS)
        waiter = Version(root, {**variables, "HUB_DATA_DIR": str(reader.directory / "data")})
        stack.callback(waiter.close)
        for hub in (reader, waiter):
            hub.start()
            stack.callback(hub.kill)
        _scrape(reader, token, simulated)
        wait_for(lambda: _in_flight(reader, token) == options.scrapes, "all reads are under way")
        time.sleep(_SETTLE_SECONDS)
        without = _cost(waiter, options.seconds)
        _scrape(waiter, token, simulated)
        wait_for(lambda: _in_flight(waiter, token) == options.scrapes, "all scrapes wait")
        time.sleep(_SETTLE_SECONDS)
        client = redis.Redis(port=cache.port) if cache is not None else None
        if client is not None:
            client.config_resetstat()
        waiting = _cost(waiter, options.seconds)
        commands = _commands(client, options.seconds) if client is not None else ""
        if _in_flight(waiter, token) != options.scrapes:
            raise RuntimeError("Not all scrapes have waited to the end.")
        if reads := _connections(waiter, simulated.port):
            # Version 319e34e does so with Redis: it considers Redis broken when more than 100 scrapes use it at once.
            return without, waiting, f"does not wait, but reads by itself: {reads} connections"
        return without, waiting, commands


def _scrape(hub: Hub, token: str, simulated: Simulated) -> None:
    """Start a scrape of each namespace, with a timeout longer than the measurement."""

    def scrape(name: str) -> None:
        request = urllib.request.Request(f"http://{hub.address}/metrics/{name}")
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("X-Prometheus-Scrape-Timeout-Seconds", str(_HANG_SECONDS))
        # The hub is killed at the end of the measurement.
        with suppress(OSError, http.client.HTTPException), urllib.request.urlopen(request) as answer:
            answer.read()

    for name in simulated.namespaces:
        threading.Thread(target=scrape, args=(name,), daemon=True).start()


def _in_flight(hub: Hub, token: str) -> int:
    for line in hub.get("/metrics", token)[1].splitlines():
        if line.startswith("hub_scrapes_in_flight "):
            return int(float(line.split()[1]))
    return 0


def _cost(hub: Version, seconds: float) -> Cost:
    cpu, switches = hub.cpu_nanoseconds(), _context_switches(hub)
    time.sleep(seconds)
    return Cost(
        (hub.cpu_nanoseconds() - cpu) / 1e6 / seconds, max(0, _context_switches(hub) - switches) / seconds
    )


def _context_switches(hub: Hub) -> int:
    """Return the context switches of all threads of the worker processes."""
    total = 0
    for worker in hub.workers():
        for status in Path(f"/proc/{worker.pid}/task").glob("*/status"):
            for line in status.read_text().splitlines():
                if "ctxt_switches" in line:
                    total += int(line.split()[1])
    return total


def _connections(hub: Hub, port: int) -> int:
    """Return the number of connections from the worker processes to the simulator."""
    return sum(
        bool(each.raddr) and each.raddr.port == port
        for worker in hub.workers()
        for each in worker.net_connections("tcp")
    )


def _commands(client: "redis.Redis", seconds: float) -> str:
    """Return the number of commands per second that Redis ran, including those inside scripts."""
    calls = {
        name.removeprefix("cmdstat_"): stats["calls"] / seconds
        for name, stats in client.info("commandstats").items()
        if not name.startswith(("cmdstat_info", "cmdstat_config"))
    }
    ordered = sorted(calls.items(), key=lambda each: -each[1])
    return f"{sum(calls.values()):.0f}: " + ", ".join(f"{name} {number:.1f}" for name, number in ordered[:6])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.waiting", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="checkouts of other versions")
    parser.add_argument("--scrapes", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
