"""`python -m bench.outages`: what Prometheus sees while each dependency of the scrapes fails in turn.

Two hubs run on PostgreSQL and Redis behind nginx. Two Prometheus servers discover every namespace through /sd and
scrape it, all through nginx. Prints the timeline and the failed scrapes. Exits with 1 if any scrape failed other than
those in flight on the hub that was killed.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from tests.support.hubs import Hub, Nginx, Simulated, deployed_settings
from tests.support.prometheus import Prometheus
from tests.support.servers import PostgreSQL, Redis

_KEPT = "servicebus_up"
# How long after a hub is killed a failed scrape still counts as having been in flight.
_SETTLE_SECONDS = 2.0


class Timeline:
    """What was done and when, in seconds since the run began."""

    def __init__(self) -> None:
        self.began = time.time()
        self.killed_at = 0.0

    def wait_until(self, second: float) -> None:
        time.sleep(max(0.0, self.began + second - time.time()))

    def say(self, what: str) -> None:
        print(f"{time.time() - self.began:6.1f} s  {what}", flush=True)

    def do(self, what: str, act: Callable[[], object]) -> None:
        self.say(what)
        act()


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        simulated = stack.enter_context(Simulated(options.namespaces, options.queues, 0.02))
        database, cache = stack.enter_context(PostgreSQL()), stack.enter_context(Redis())
        settings = deployed_settings(database.url(), cache.url, simulated.ca_file)
        # Small enough that every worker is replaced at least once during the run.
        settings["HUB_MAX_REQUESTS"] = str(options.max_requests)
        hubs = [Hub(settings), Hub(settings)]
        for hub in hubs:
            stack.callback(hub.close)
        token = hubs[0].prepare(simulated.namespaces)
        for hub in hubs:
            hub.start()
        nginx = stack.enter_context(Nginx(hubs))
        servers = [
            stack.enter_context(
                Prometheus(
                    f"127.0.0.1:{nginx.port}",
                    None,
                    token,
                    interval_seconds=options.interval,
                    ca_file=nginx.certificate,
                    keep=_KEPT,
                )
            )
            for _ in range(2)
        ]
        timeline = Timeline()
        _break(timeline, options.seconds, database, cache, hubs)
        return _report(options, timeline, servers)


def _break(timeline: Timeline, seconds: float, database: PostgreSQL, cache: Redis, hubs: list[Hub]) -> None:
    """Make everything fail once; in a run of three minutes, PostgreSQL and Redis are down for 30 s each."""
    away = seconds / 6
    timeline.say("begin")
    timeline.wait_until(0.08 * seconds)
    timeline.do("PostgreSQL stops", database.stop)
    timeline.wait_until(0.08 * seconds + away)
    timeline.do("PostgreSQL starts", database.start)
    timeline.wait_until(0.33 * seconds)
    timeline.do("Redis stops", cache.stop)
    timeline.wait_until(0.33 * seconds + away)
    timeline.do("Redis starts", cache.start)
    timeline.wait_until(0.58 * seconds)
    timeline.killed_at = time.time()
    timeline.do("hub 1 is killed (-9)", hubs[0].kill)
    timeline.do("hub 1 starts", hubs[0].start)
    timeline.say("hub 1 is ready")
    timeline.wait_until(0.74 * seconds)
    timeline.do("hub 2 is upgraded: SIGTERM", hubs[1].stop)
    timeline.do("hub 2 starts", hubs[1].start)
    timeline.say("hub 2 is ready")
    timeline.wait_until(0.88 * seconds)
    timeline.say("hub 1 and hub 2 replace their workers (SIGHUP)")
    for hub in hubs:
        os.kill(hub.pid, signal.SIGHUP)
    timeline.wait_until(seconds)
    timeline.say("end")


def _report(options: argparse.Namespace, timeline: Timeline, servers: list[Prometheus]) -> int:
    scrapes, in_flight, unexplained, empty = 0, 0, [], []
    for number, server in enumerate(servers, start=1):
        window = time.time() - timeline.began + 5
        for name, moment, value in server.samples('up{job="servicebus"}', window):
            scrapes += 1
            if value == 1:
                continue
            # A sample's timestamp is when its scrape began.
            if timeline.killed_at - options.interval <= moment <= timeline.killed_at + _SETTLE_SECONDS:
                in_flight += 1
            else:
                unexplained.append(f"{moment - timeline.began:6.1f} s  Prometheus {number}, {name}")
        for name, moment, value in server.samples("servicebus_up", window):
            if value != 1:
                empty.append(f"{moment - timeline.began:6.1f} s  Prometheus {number}, {name}")
    expected = 2 * options.namespaces * options.seconds / options.interval
    print(f"scrapes {scrapes} ({expected:.0f} fit into the time)")
    print(f"failed  {in_flight} in flight on the killed hub, {len(unexplained)} others")
    print(f"answered with servicebus_up 0: {len(empty)}")
    for line in [*unexplained, *empty][:40]:
        print(line)
    # Too few scrapes prove nothing.
    passed = not unexplained and not empty and scrapes >= 0.8 * expected
    print("passed" if passed else "NOT PASSED")
    return 0 if passed else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespaces", type=int, default=50)
    parser.add_argument("--queues", type=int, default=10)
    parser.add_argument("--interval", type=float, default=5, help="seconds between two scrapes")
    parser.add_argument("--seconds", type=float, default=180, help="length of the run")
    parser.add_argument(
        "--max-requests", type=int, default=400, help="answers of a worker until it is replaced"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
