"""`python -m bench.overload`: how a hub behaves under more scrapes than it can answer, and how it recovers.

One hub (gunicorn, PostgreSQL, Redis) reads a simulator with 20 ms of latency; everything runs on this machine. The
capacity is measured first: scrapes answered per second, 32 at a time. Then the hub starts cold under normal load (half
the capacity) and goes through a minute at twice the capacity, normal load, a minute of normal load with two busy loops
running, and normal load again. Prints a timeline. Exits with 1 if less than 80 % of the capacity was answered during
the overload, or if the 99th percentile was not below 1 s within 30 s after the overload or after the busy loops.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.support.hubs import Hub, Simulated, deployed_settings, quantile
from tests.support.servers import PostgreSQL, Redis

from .scraping import Scrape, Scraper

_AT_ONCE = 32
_BUCKET_SECONDS = 5.0
_GOODPUT = 0.8
_P99_SECONDS = 1.0
_RECOVERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Phase:
    name: str
    seconds: float
    share: float  # the share of namespaces to scrape; scraping all of them is twice the capacity
    busy_loops: int = 0


PHASES = (
    Phase("cold start", 30, 0.25),
    Phase("2x capacity", 60, 1.0),
    Phase("normal", 40, 0.25),
    Phase("busy loops", 60, 0.25, busy_loops=2),
    Phase("normal again", 40, 0.25),
)


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        simulated = stack.enter_context(Simulated(options.namespaces, options.queues, 0.02))
        database, cache = stack.enter_context(PostgreSQL()), stack.enter_context(Redis())
        hub = Hub(deployed_settings(database.url(), cache.url, simulated.ca_file))
        hub.variables["HUB_WORKERS"] = str(options.workers)
        stack.callback(hub.close)
        token = hub.prepare(simulated.namespaces)
        return asyncio.run(_Run(hub, token, sorted(simulated.namespaces)).run(options.shorter))


class _Run:
    def __init__(self, hub: Hub, token: str, names: Sequence[str]) -> None:
        self._hub = hub
        self._token = token
        self._names = names
        self._cpu: list[tuple[float, float]] = []  # monotonic time, CPU seconds of the hub so far

    async def run(self, shorter: float) -> int:
        capacity = await self._capacity()
        await asyncio.to_thread(self._restart)
        # Two servers that scrape all namespaces at this interval request twice the capacity.
        interval = len(self._names) / capacity
        timeout = min(10.0, interval)
        print(
            f"{len(self._names)} namespaces, scraped by two servers every {interval:.1f} s: twice the capacity; "
            f"scrape_timeout {timeout:.1f} s\n"
        )
        servers = [Scraper(self._hub.address, self._token, timeout) for _ in range(2)]
        watch = asyncio.create_task(self._watch())
        starts = []
        for phase in PHASES:
            starts.append(time.monotonic())
            print(f"{phase.name} ...", file=sys.stderr, flush=True)
            await self._phase(phase, servers, interval, phase.seconds / shorter)
        watch.cancel()
        for server in servers:
            await server.close()
        scrapes = sorted((each for server in servers for each in server.done), key=lambda each: each.due)
        return self._report(capacity, scrapes, starts, [phase.seconds / shorter for phase in PHASES])

    async def _capacity(self) -> float:
        await asyncio.to_thread(self._hub.start)
        scraper = Scraper(self._hub.address, self._token, 10.0)
        for what, seconds in (("cold", 0.0), ("warm", 15.0)):
            scraper.done.clear()
            cpu, began = self._hub.cpu_seconds(), time.monotonic()
            await scraper.as_fast_as_possible(self._names, _AT_ONCE, began + seconds if seconds else 0.0)
            took = time.monotonic() - began
            up = sum(each.ended == "up" for each in scraper.done)
            print(
                f"capacity, {what}: {up / took:.1f} scrapes per second ({_AT_ONCE} at a time, {len(scraper.done) - up} "
                f"failed), p99 {quantile([each.seconds for each in scraper.done], 0.99):.2f} s, "
                f"{1000 * (self._hub.cpu_seconds() - cpu) / max(1, up):.1f} ms of CPU each",
                flush=True,
            )
        await scraper.close()
        return up / took

    def _restart(self) -> None:
        self._hub.stop()
        self._hub.start()

    async def _phase(self, phase: Phase, servers: Sequence[Scraper], interval: float, seconds: float) -> None:
        names = self._names[: int(len(self._names) * phase.share)]
        with ExitStack() as stack:
            for _ in range(phase.busy_loops):
                stack.enter_context(_busy_loop())
            until = time.monotonic() + seconds
            middle = len(names) // 2
            orders = (names, [*names[middle:], *names[:middle]][::-1])
            async with asyncio.TaskGroup() as tasks:
                for server, order in zip(servers, orders, strict=True):
                    tasks.create_task(server.regularly(order, interval, until))

    async def _watch(self) -> None:
        while True:
            self._cpu.append((time.monotonic(), self._hub.cpu_seconds()))
            await asyncio.sleep(1.0)

    def _cpu_between(self, begin: float, end: float) -> float:
        values = [cpu for at, cpu in self._cpu if begin - 0.5 <= at <= end + 0.5]
        return values[-1] - values[0] if values else 0.0

    def _report(
        self,
        capacity: float,
        scrapes: Sequence[Scrape],
        starts: Sequence[float],
        lengths: Sequence[float],
    ) -> int:
        print(
            "   from                offered    up refused failed unanswered     p50     p99  ms CPU  (per second)"
        )
        verdict = True
        notes = []
        for phase, start, length in zip(PHASES, starts, lengths, strict=True):
            print(phase.name)
            own = [each for each in scrapes if start <= each.due < start + length]
            bucket = start
            while bucket < start + length - 0.5:
                end = min(bucket + _BUCKET_SECONDS, start + length)
                self._print_bucket(bucket - starts[0], own, bucket, end)
                bucket = end
            if phase.name == "2x capacity":
                up = sum(each.ended == "up" for each in own) / length
                notes.append(
                    f"goodput at twice the capacity: {up:.1f} per second, {up / capacity:.0%} of capacity"
                )
                verdict &= up >= _GOODPUT * capacity
            if phase.name.startswith("normal"):
                recovered = _recovery(own, start, length)
                notes.append(
                    f"{phase.name}: p99 below {_P99_SECONDS:g} s and none refused after {recovered:.0f} s"
                )
                verdict &= recovered <= _RECOVERY_SECONDS
        unanswered = sum(each.ended == "unanswered" for each in scrapes)
        notes.append("ended: " + str(dict(Counter(each.ended for each in scrapes).most_common())))
        verdict &= not unanswered
        print("\n".join(["", *notes, "passed" if verdict else "NOT PASSED"]))
        return 0 if verdict else 1

    def _print_bucket(self, at: float, scrapes: Sequence[Scrape], begin: float, end: float) -> None:
        found = [each for each in scrapes if begin <= each.due < end]
        seconds = end - begin
        rates = {
            ended: sum(each.ended == ended for each in found) / seconds
            for ended in ("up", "overloaded", "unanswered")
        }
        rates["failed"] = len(found) / seconds - sum(rates.values())
        took = [each.seconds for each in found]
        cpu = 1000 * self._cpu_between(begin, end) / max(1.0, rates["up"] * seconds)
        print(
            f"{at:>7.0f} s {len(found) / seconds:>18.1f} {rates['up']:>5.1f} {rates['overloaded']:>7.1f} "
            f"{rates['failed']:>6.1f} {rates['unanswered']:>10.1f} {quantile(took, 0.5):>7.2f} "
            f"{quantile(took, 0.99):>7.2f} {cpu:>7.1f}"
        )


@contextmanager
def _busy_loop() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _recovery(scrapes: Sequence[Scrape], start: float, length: float) -> float:
    """Return the seconds until the p99 stays below the limit and no scrape fails; infinity if that never happens."""
    for second in range(int(length - 4)):
        later = [each for each in scrapes if each.due >= start + second]
        if all(each.ended == "up" for each in later) and quantile([each.seconds for each in later], 0.99) < (
            _P99_SECONDS
        ):
            return float(second)
    return float("inf")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--namespaces", type=int, default=1000, help="all of them are scraped at twice the capacity"
    )
    parser.add_argument("--queues", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shorter", type=float, default=1.0, help="divide each phase's length by this")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
