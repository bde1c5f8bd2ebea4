"""`python -m bench.load`: a thousand namespaces of a hundred queues, scraped every 30 s by two Prometheus servers.

One hub (gunicorn, PostgreSQL, Redis) reads a simulator with 20 ms of latency; everything runs on this machine. Prints
scrapes, failures, the distribution of response times, CPU and memory. The first round, which starts with cold
connections, is shown separately. Exits with 1 if a scrape was not answered, if one had servicebus_up 0 after the first
round, or if the 99th percentile of the response times after the first minute reaches 1 s.
"""

import argparse
import sys
import time
from contextlib import ExitStack

import redis

from tests.support.hubs import Hub, Simulated, deployed_settings, quantile, unhealthy_lines
from tests.support.prometheus import Prometheus
from tests.support.servers import PostgreSQL, Redis

_KEPT = "servicebus_up|servicebus_entities|servicebus_scrape_.*"
_P99_SECONDS = 1.0
_SETTLED_SECONDS = 60.0


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        simulated = stack.enter_context(
            Simulated(options.namespaces, options.queues, options.latency_ms / 1000)
        )
        database, cache = stack.enter_context(PostgreSQL()), stack.enter_context(Redis())
        hub = Hub(deployed_settings(database.url(), cache.url, simulated.ca_file))
        hub.variables["HUB_WORKERS"] = str(options.workers)
        stack.callback(hub.close)
        token = hub.prepare(simulated.namespaces, cache_seconds=options.cache_seconds)
        hub.start()
        began = time.time()
        servers = [
            stack.enter_context(
                Prometheus(
                    hub.address, simulated.namespaces, token, interval_seconds=options.interval, keep=_KEPT
                )
            )
            for _ in range(2)
        ]
        print(
            f"{options.namespaces} namespaces x {options.queues} queues every {options.interval:g} s by 2 Prometheus "
            f"servers for {options.seconds:g} s; {options.latency_ms:g} ms latency, {options.workers} workers, "
            f"cache_seconds {options.cache_seconds:g}",
            flush=True,
        )
        # The first round starts with cold connections and reads. It is part of the run because every upgrade causes
        # one.
        before = hub.cpu_seconds()
        stores = Stores(database, cache)
        memory, first_round_cpu = _watch(hub, options.seconds, options.interval)
        passed, scraped = _report(options, hub, servers, simulated, memory, began, first_round_cpu - before)
        stores.report(options.seconds, scraped)
        print("passed" if passed else "NOT PASSED")
        return 0 if passed else 1


class Stores:
    """The load that a run puts on PostgreSQL and Redis."""

    def __init__(self, database: PostgreSQL, cache: Redis) -> None:
        self._database = database
        self._cache = cache
        self._before = self._figures()

    def _figures(self) -> tuple[float, float, float, float]:
        """Return the totals of Redis (commands, CPU seconds) and PostgreSQL (transactions, CPU seconds)."""
        with redis.Redis.from_url(self._cache.url) as client:
            commands = float(client.info("stats")["total_commands_processed"])
        transactions = float(
            self._database.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = 'hub'")
        )
        return commands, self._cache.cpu_seconds(), transactions, self._database.cpu_seconds()

    def report(self, seconds: float, scraped: int) -> None:
        """Print the load since this object was created."""
        pairs = zip(self._before, self._figures(), strict=True)
        commands, redis_cpu, transactions, database_cpu = (after - before for before, after in pairs)
        with redis.Redis.from_url(self._cache.url) as client:
            memory = float(client.info("memory")["used_memory"]) / 2**20
        print(
            f"Redis             {commands / seconds:.0f} commands per second "
            f"({commands / max(1, scraped):.1f} per scrape), {redis_cpu / seconds:.3f} cores, {memory:.0f} MiB"
        )
        sessions = self._database.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'hub'")
        print(
            f"PostgreSQL        {transactions / seconds:.1f} transactions per second, "
            f"{database_cpu / seconds:.3f} cores, {int(sessions) - 1} connections"
        )


def _watch(hub: Hub, seconds: float, interval: float) -> tuple[list[float], float]:
    """Return the memory in MiB, sampled every 5 s, and the hub's CPU seconds at the end of the first round."""
    memory = []
    first_round_cpu = 0.0
    began = time.monotonic()
    end = began + seconds
    while time.monotonic() < end:
        time.sleep(min(5.0, max(0.1, end - time.monotonic())))
        memory.append(hub.memory_bytes() / 2**20)
        if not first_round_cpu and time.monotonic() >= began + interval:
            first_round_cpu = hub.cpu_seconds()
    return memory, first_round_cpu


def _report(
    options: argparse.Namespace,
    hub: Hub,
    servers: list[Prometheus],
    simulated: Simulated,
    memory: list[float],
    began: float,
    first_round_cpu: float,
) -> tuple[bool, int]:
    """Print the scrapes; return whether the run passed, and the number of scrapes."""
    window = options.seconds + 30
    seconds, settled, failed, empty, empty_at_first, scraped, scraped_at_first = [], [], 0, 0, 0, 0, 0
    first_round_ends = began + options.interval
    for server in servers:
        ups = server.samples('up{job="servicebus"}', window)
        scraped += len(ups)
        failed += sum(value != 1 for _, _, value in ups)
        scraped_at_first += sum(at < first_round_ends for _, at, _ in ups)
        down = [at for _, at, value in server.samples("servicebus_up", window) if value != 1]
        empty_at_first += sum(at < first_round_ends for at in down)
        empty += sum(at >= first_round_ends for at in down)
        took = server.samples('scrape_duration_seconds{job="servicebus"}', window)
        seconds += [value for _, _, value in took]
        settled += [value for _, at, value in took if at >= began + _SETTLED_SECONDS]
    expected = 2 * options.namespaces * options.seconds / options.interval
    entities = servers[0].query('sum(servicebus_entities{kind="queue"})')
    wall = options.seconds
    p99 = quantile(settled, 0.99)
    print(
        f"scrapes           {scraped} ({scraped / wall:.0f} per second; {expected:.0f} would fit into the time)"
    )
    print(
        f"failed            {failed} without an answer; with servicebus_up 0: {empty_at_first} of {scraped_at_first} "
        f"in the first round, {empty} later"
    )
    print(f"queues seen       {entities[0]['value'][1] if entities else 0}")
    print(
        "answers           "
        + ", ".join(f"p{share * 100:g} {quantile(seconds, share):.3f} s" for share in (0.5, 0.9, 0.99, 1.0))
    )
    print(
        "after 1 minute    "
        + ", ".join(f"p{share * 100:g} {quantile(settled, share):.3f} s" for share in (0.5, 0.9, 0.99, 1.0))
    )
    later_cpu = hub.cpu_seconds() - first_round_cpu
    print(
        f"CPU of a scrape   {1000 * first_round_cpu / max(1, scraped_at_first):.1f} ms in the first round, "
        f"{1000 * later_cpu / max(1, scraped - scraped_at_first):.1f} ms later"
    )
    print(
        f"CPU               hub {hub.cpu_seconds() / wall:.2f} cores "
        f"({1000 * hub.cpu_seconds() / max(1, scraped):.1f} ms per scrape), simulator "
        f"{simulated.cpu_seconds() / wall:.2f}, Prometheus {sum(s.cpu_seconds() for s in servers) / wall:.2f}"
    )
    print(
        f"memory of the hub {memory[0]:.0f} MiB after 5 s, then after each sixth of the run "
        + ", ".join(f"{memory[(len(memory) * sixth - 1) // 6]:.0f}" for sixth in range(1, 7))
        + " (PSS)"
    )
    problems = unhealthy_lines(hub.log)
    for line in problems[:10]:
        print(f"log: {line[:400]}")
    return not failed and not empty and p99 < _P99_SECONDS, scraped


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespaces", type=int, default=1000)
    parser.add_argument("--queues", type=int, default=100)
    parser.add_argument(
        "--interval", type=float, default=30, help="seconds between two scrapes of a namespace"
    )
    parser.add_argument("--seconds", type=float, default=300, help="length of the run")
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--cache-seconds", type=float, default=0, help="for which the two servers share a read"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
