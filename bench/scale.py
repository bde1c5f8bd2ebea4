"""`python -m bench.scale`: check that a large, changing configuration delays no scrape.

Seeds 10,000 namespaces in 500 teams (tests.support.company), starts a deployed hub (PostgreSQL, Redis), and changes one
namespace per second in the admin at 50 scrapes per second. A hub of 10 namespaces gets the same load first. Prints the
response times of both, the memory over time, the cost of a reload, and the page times. Exits with 1 if the slowest
scrapes (the slowest of all, and the slowest one in a thousand) of the large hub took 100 ms longer than those of the
small one, if a scrape failed, or if memory grew.
"""

import argparse
import asyncio
import json
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.support.hubs import Hub, Simulated, deployed_settings, quantile
from tests.support.servers import PostgreSQL, Redis

from . import pages as page_times
from .scraping import Scraper

_SCRAPED = 8  # namespaces, each scraped several times per second; the same ones in both hubs
_SCRAPES_A_SECOND = 50
_QUEUES = 5
_WARM_UP_SECONDS = 10.0
_LATE_SECONDS = 0.1
# Limit for the ratio of the peak memory in a run's last third to that in its first third.
_GROWTH = 1.05


@dataclass
class Run:
    """One hub under load."""

    namespaces: int
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # MiB
    changes: list[float] = field(default_factory=list)  # seconds that the admin took for each change
    cpu_cores: float = 0.0
    reload: dict[str, Any] = field(default_factory=dict)
    pages: list[page_times.Measured] = field(default_factory=list)

    def growth(self) -> float:
        third = max(1, len(self.memory) // 3)
        return max(self.memory[-third:]) / max(self.memory[:third])


class Admin(page_times.Browser):
    """A user who pauses and resumes namespaces."""

    def switch(self, namespace: int, *, enabled: bool) -> None:
        """Pause or resume a namespace (primary key) from the list."""
        form = {
            "action": "resume" if enabled else "pause",
            "_selected_action": str(namespace),
            "csrfmiddlewaretoken": self._cookies["csrftoken"],
        }
        status = self.post("/admin/exporters/namespace/", form)
        if status != 302:
            raise RuntimeError(f"the admin answered {status}")


def _change(admin: Admin, first: int, run: Run, until: float) -> None:
    """Change one namespace per second, except for the first ones, which are scraped."""
    changed = [first + number for number in range(_SCRAPED, min(run.namespaces, _SCRAPED + 50))]
    number = 0
    while (started := time.monotonic()) < until:
        turn, place = divmod(number, len(changed))
        admin.switch(changed[place], enabled=turn % 2 == 1)
        run.changes.append(time.monotonic() - started)
        number += 1
        time.sleep(max(0.0, started + 1 - time.monotonic()))


async def _scrape(hub: Hub, token: str, seconds: float) -> list[Any]:
    scraper = Scraper(hub.address, token, 10)
    names = [f"namespace-{number:05}" for number in range(_SCRAPED)]
    await scraper.regularly(names, _SCRAPED / _SCRAPES_A_SECOND, time.monotonic() + seconds)
    await scraper.close()
    return scraper.done


def measure(simulated: Simulated, namespaces: int, seconds: float, with_pages: bool) -> Run:
    """Fill a hub with the given number of namespaces and put it under load."""
    run = Run(namespaces)
    with ExitStack() as stack:
        database, redis = stack.enter_context(PostgreSQL()), stack.enter_context(Redis())
        hub = Hub({**deployed_settings(database.url(), redis.url, simulated.ca_file), "HUB_WORKERS": "2"})
        hub.manage("prepare")
        wanted = {
            "namespaces": namespaces,
            "teams": max(1, namespaces // 20),
            "records": 1,
            "connection_strings": list(simulated.namespaces.values()),
            "fields": {"requests_per_second": 10_000, "burst": 10_000},
        }
        company = json.loads(hub.manage(module="tests.support.company", text=json.dumps(wanted)))
        stack.enter_context(hub)
        admin = Admin(hub.address)
        admin.sign_in(company["users"]["administrator"], company["password"])
        asyncio.run(_scrape(hub, company["scrape_token"], _WARM_UP_SECONDS))
        began, cpu = time.monotonic(), hub.cpu_seconds()
        arguments = (admin, company["namespace"], run, began + seconds)
        changing = threading.Thread(target=_change, args=arguments, daemon=True)
        over = threading.Event()
        watching = threading.Thread(target=_watch, args=(hub, run, over), daemon=True)
        for thread in (changing, watching):
            thread.start()
        done = asyncio.run(_scrape(hub, company["scrape_token"], seconds))
        over.set()
        for thread in (changing, watching):
            thread.join()
        run.cpu_cores = (hub.cpu_seconds() - cpu) / (time.monotonic() - began)
        run.seconds = [each.seconds for each in done]
        run.failures = [each.ended for each in done if each.ended != "up"]
        if with_pages:
            run.pages = page_times.measure(hub.address, company, rounds=1)
        run.reload = json.loads(hub.manage(module="bench.reload"))
    return run


def _watch(hub: Hub, run: Run, over: threading.Event) -> None:
    while not over.wait(5):
        run.memory.append(hub.memory_bytes() / 2**20)


def _report(small: Run, large: Run) -> bool:
    shares = {"median": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "worst": 1.0}
    print(f"{'':24}{small.namespaces:>12,}{large.namespaces:>12,}  namespaces")
    print(f"{'scrapes':24}{len(small.seconds):>12}{len(large.seconds):>12}")
    print(f"{'  that failed':24}{len(small.failures):>12}{len(large.failures):>12}")
    print(f"{'changes in the admin':24}{len(small.changes):>12}{len(large.changes):>12}")
    for name, share in shares.items():
        one, other = (1000 * quantile(run.seconds, share) for run in (small, large))
        print(f"{name + ', ms':24}{one:>12.1f}{other:>12.1f}  {other - one:+.1f}")
    one, other = (1000 * quantile(run.changes, 0.5) for run in (small, large))
    print(f"{'change, median, ms':24}{one:>12.1f}{other:>12.1f}")
    print(f"{'CPU, cores':24}{small.cpu_cores:>12.2f}{large.cpu_cores:>12.2f}")
    for run in (small, large):
        print(
            f"memory of {run.namespaces:,} (PSS, MiB, every 5 s): "
            + " ".join(f"{each:.0f}" for each in run.memory)
        )
        print(f"reload: {json.dumps(run.reload)}")
    if large.pages:
        page_times.report(large.pages)
    late = [
        name
        for name in ("p99.9", "worst")
        if quantile(large.seconds, shares[name]) - quantile(small.seconds, shares[name]) > _LATE_SECONDS
    ]
    problems = [
        *(f"{name} is {_LATE_SECONDS * 1000:.0f} ms later" for name in late),
        *(
            f"{len(run.failures)} scrapes of {run.namespaces:,} failed"
            for run in (small, large)
            if run.failures
        ),
        *(f"memory grew by {run.growth():.2f}" for run in (small, large) if run.growth() > _GROWTH),
    ]
    print("passed" if not problems else "NOT PASSED: " + "; ".join(problems))
    return not problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespaces", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--no-pages", action="store_true", help="leave out the times of the pages")
    options = parser.parse_args()
    with Simulated(_SCRAPED, _QUEUES, 0.0) as simulated:
        small = measure(simulated, 10, options.seconds, with_pages=False)
        large = measure(simulated, options.namespaces, options.seconds, with_pages=not options.no_pages)
    return 0 if _report(small, large) else 1


if __name__ == "__main__":
    sys.exit(main())
