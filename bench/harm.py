"""`make bench-harm`: how scraping affects the senders of a Standard namespace, with and without the default budget.

A simulated Standard namespace of 1,000 topics x 5 subscriptions enforces Azure's credit rule (1,000 credits per second,
10 per management request) while its senders use 600 credits per second. Two Prometheus servers scrape it every 15 s
through one hub (gunicorn, two workers). Prints what happened to the senders' messages and to the scrapes.
"""

import argparse
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from simulator import SimulatedNamespace, Simulator
from tests.support.hubs import Hub
from tests.support.prometheus import Prometheus

NAME = "harm"
SENDER_RATE = 600  # credits per second, of 1,000
KEPT = "servicebus_up|servicebus_scrape_.*|servicebus_subscription_active_messages|servicebus_entities"


@dataclass(frozen=True)
class Outcome:
    sent: int
    senders_throttled: int
    management: int
    management_throttled: int
    scrapes: int
    failed: int
    last_failed_after: float  # seconds since the start
    subscriptions: int  # with a sample at the end
    oldest_seconds: float  # the oldest sample of the second half
    slowest_seconds: float


def main() -> int:
    options = _options()
    print(
        f"Standard namespace, {options.topics:,} topics x {options.subscriptions}, senders at {SENDER_RATE} of 1,000 "
        f"credits per second, scraped by 2 Prometheus servers every {options.interval:g} s for {options.seconds:g} s"
    )
    print(
        f"{'':18}{'messages':>10} {'throttled':>10} | {'requests':>9} {'throttled':>10} | {'scrapes':>8} {'up 0':>5} "
        f"{'until':>6} {'slowest':>8} | {'with samples':>12} {'oldest':>7}"
    )
    outcomes = {}
    for title, fields in (
        ("default budget", {}),
        ("budget lifted", {"requests_per_second": 10_000, "burst": 10_000, "concurrency": 32}),
    ):
        outcome = outcomes[title] = _run(options, fields)
        print(
            f"{title:18}{outcome.sent:>10,} {outcome.senders_throttled:>10,} | {outcome.management:>9,} "
            f"{outcome.management_throttled:>10,} | {outcome.scrapes:>8} {outcome.failed:>5} "
            f"{outcome.last_failed_after:>4.0f} s {outcome.slowest_seconds:>6.1f} s | {outcome.subscriptions:>12,} "
            f"{outcome.oldest_seconds:>5.0f} s",
            flush=True,
        )
    print(
        "up 0 until: the default budget needs some scrapes before each topic was read once; then all are shown."
    )
    ours = outcomes["default budget"]
    good = ours.senders_throttled == 0 and ours.subscriptions == options.topics * options.subscriptions
    return 0 if good else 1


def _run(options: argparse.Namespace, fields: dict[str, Any]) -> Outcome:
    with ExitStack() as stack:
        simulator = Simulator(fast=True)
        bus = simulator.add_namespace(NAME, sku="Standard", latency=0.02)
        for number in range(options.topics):
            topic = bus.add_topic(f"topic-{number:04}")
            for each in range(options.subscriptions):
                topic.add_subscription(f"subscription-{each}", active=number)
        stack.enter_context(simulator.running())
        hub, token = _hub(stack, bus, fields)
        bus.credits.enforce(sender_rate=SENDER_RATE)
        started = time.time()
        servers = [
            stack.enter_context(
                Prometheus(
                    hub.address, [NAME], token, interval_seconds=options.interval, keep=KEPT, replica=replica
                )
            )
            for replica in "ab"
        ]
        time.sleep(options.seconds)
        bus.credits.lift()
        return _outcome(options, bus, servers, started)


def _hub(stack: ExitStack, bus: SimulatedNamespace, fields: dict[str, Any]) -> tuple[Hub, str]:
    hub = Hub({"HUB_ALLOW_LOOPBACK": "1", "HUB_CA_FILE": str(bus.ca_file), "HUB_WORKERS": "2"})
    stack.callback(hub.close)
    token = hub.prepare({NAME: bus.connection_string}, **fields)
    hub.start()
    return hub, token


def _outcome(
    options: argparse.Namespace, bus: SimulatedNamespace, servers: list[Prometheus], started: float
) -> Outcome:
    def samples(name: str, seconds: float = options.seconds + 5) -> list[tuple[float, float]]:
        return [(at, value) for each in servers for _, at, value in each.samples(name, seconds)]

    # A scrape that Prometheus gave up on has no servicebus_up, but up is 0.
    ups = samples("servicebus_up") + [(at, value) for at, value in samples("up") if value == 0]
    failed = [at for at, value in ups if value == 0]
    return Outcome(
        sent=bus.credits.sender_sent,
        senders_throttled=bus.credits.sender_throttled,
        management=bus.requests.total,
        management_throttled=bus.requests.by_status[429] + bus.requests.by_status[503],
        scrapes=len(ups),
        failed=len(failed),
        last_failed_after=max(failed, default=started) - started,
        subscriptions=min(_with_samples(each, options.interval) for each in servers),
        oldest_seconds=max(
            (
                value
                for _, value in samples("servicebus_scrape_oldest_sample_age_seconds", options.seconds / 2)
            ),
            default=0.0,
        ),
        slowest_seconds=max((value for _, value in samples("scrape_duration_seconds")), default=0.0),
    )


def _with_samples(server: Prometheus, interval: float) -> int:
    found = server.query(
        f"count(count_over_time(servicebus_subscription_active_messages[{round(interval * 1.5)}s]))"
    )
    return int(float(found[0]["value"][1])) if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.harm", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="length of each of the two runs")
    parser.add_argument("--interval", type=float, default=15, help="Prometheus's scrape interval, in seconds")
    parser.add_argument("--topics", type=int, default=1000)
    parser.add_argument("--subscriptions", type=int, default=5, help="of each topic")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
