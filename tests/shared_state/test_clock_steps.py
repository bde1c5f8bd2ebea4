"""Real programs whose date is set while they run: ages, caches and budgets are not affected."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from exporters.scraping.budgets import decode, encode
from exporters.servicebus import clock
from exporters.servicebus.request_rate import Allowance, take
from exporters.shared_state.files import FileStore
from simulator import SimulatedNamespace
from tests.support.clocks import SteppedClock
from tests.support.programs import require
from tests.support.servers import Redis

from .conftest import StartHub
from .test_one_read import reads, scrape, value

ROOT = Path(__file__).parents[2]
# Almost an hour, because the simulator's certificate became valid an hour ago.
LONG = 3_400


class RedisWithClock(Redis):
    """Redis on a machine whose date is set by the test."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__()
        self.clock = clock

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self.clock.variables}


NewClock = Callable[[], SteppedClock]


@pytest.fixture
def new_clock(tmp_path: Path) -> NewClock:
    def made() -> SteppedClock:
        folder = tmp_path / f"clock-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return SteppedClock(folder)

    return made


@pytest.fixture
def redis_with_clock(new_clock: NewClock) -> Iterator[RedisWithClock]:
    require("redis-server")
    with RedisWithClock(new_clock()) as server:
        yield server


@pytest.mark.e2e
@pytest.mark.parametrize(("with_redis", "step"), [(False, -LONG), (False, LONG), (True, -LONG)])
def test_a_read_is_served_for_cache_seconds_whatever_the_hubs_date_is_set_to(
    start_hub: StartHub,
    bus: SimulatedNamespace,
    redis: Redis,
    new_clock: NewClock,
    with_redis: bool,
    step: int,
) -> None:
    date = new_clock()
    shared = {"HUB_REDIS_URL": redis.url} if with_redis else {}
    hub = start_hub(fields={"cache_seconds": 4}, **date.variables, **shared)
    began = time.monotonic()
    assert value(scrape(*hub), "servicebus_scrape_age_seconds") == 0
    ended = time.monotonic()
    date.set_ahead(step)
    ages = []
    while time.monotonic() - began < 2:
        ages.append(value(scrape(*hub), "servicebus_scrape_age_seconds"))
        assert ages[-1] <= time.monotonic() - began
    # Redis reports the age of its values in milliseconds.
    assert all(earlier - later < 0.002 for earlier, later in pairwise(ages))
    assert ages[0] > 0
    assert ages[-1] > 1
    assert reads(bus) == 1
    time.sleep(max(0.0, 4.2 - (time.monotonic() - ended)))
    body = scrape(*hub)
    assert (value(body, "servicebus_up"), value(body, "servicebus_scrape_age_seconds")) == (1, 0)
    assert reads(bus) == 2


@pytest.mark.e2e
def test_a_budget_that_is_used_up_is_there_again_whatever_the_hubs_date_is_set_to(
    start_hub: StartHub, bus: SimulatedNamespace, new_clock: NewClock
) -> None:
    date = new_clock()
    hub = start_hub(fields={"requests_per_second": 3, "burst": 6}, **date.variables)
    began = time.monotonic()
    for step in (0, -LONG, LONG):
        date.set_ahead(step)
        for _ in range(2):
            assert value(scrape(*hub), "servicebus_up") == 1
    # Except for the burst and whatever was caught up, requests were spread evenly.
    assert time.monotonic() - began >= (len(bus.requests) - 7) / 3


@pytest.mark.e2e
def test_redis_whose_date_is_set_back_locks_nobody_out_and_serves_nothing_for_fresh(
    start_hub: StartHub, bus: SimulatedNamespace, redis_with_clock: RedisWithClock
) -> None:
    hubs = [start_hub(fields={"cache_seconds": 2}, HUB_REDIS_URL=redis_with_clock.url) for _ in range(2)]
    assert value(scrape(*hubs[0]), "servicebus_up") == 1
    redis_with_clock.clock.set_ahead(-LONG)
    assert value(scrape(*hubs[1]), "servicebus_scrape_age_seconds") == 0, "nobody knows how old the other is"
    assert reads(bus) == 2
    for _ in range(3):
        for hub in hubs:
            body = scrape(*hub)
            assert value(body, "servicebus_up") == 1
            assert value(body, "servicebus_scrape_age_seconds") <= 2
        time.sleep(0.9)
    assert 2 <= reads(bus) <= 5


def _read_together(
    readers: list[dict[str, str]],
    seconds: float,
    *,
    requests_per_second: float,
    burst: int,
    meanwhile: Callable[[], None] | None = None,
    **store: str,
) -> list[list[float]]:
    """Let processes with these variables draw from one budget; return the due times of each process's requests."""
    wanted = {**store, "seconds": seconds, "requests_per_second": requests_per_second, "burst": burst}
    command = [sys.executable, "-m", "tests.shared_state.budget_reader", json.dumps(wanted)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**os.environ, **variables},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for variables in readers
        ]
        for process in processes:
            stack.callback(process.kill)  # in case it is still running
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("begin\n")
            process.stdin.flush()
        until = clock.now() + seconds
        while meanwhile is not None and clock.now() < until:
            time.sleep(0.3)
            meanwhile()
        return [json.loads(process.communicate(timeout=60)[0]) for process in processes]


def _most_in_a_window(due: list[float], seconds: float) -> int:
    due = sorted(due)
    most = end = 0
    for begin, at in enumerate(due):
        while end < len(due) and due[end] < at + seconds - 1e-5:
            end += 1
        most = max(most, end - begin)
    return most


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("with_redis", "rate", "burst"), [(False, 30, 30), (False, 10, 50), (True, 30, 30), (True, 100, 20)]
)
def test_processes_with_different_dates_keep_one_budget_and_share_it_evenly(
    redis: Redis, tmp_path: Path, new_clock: NewClock, with_redis: bool, rate: float, burst: int
) -> None:
    """Two replicas whose dates are 5 s apart, and a third whose date keeps changing."""
    dates = [new_clock() for _ in range(3)]
    dates[1].set_ahead(-5)

    def set_a_date() -> None:
        dates[2].set_ahead(random.choice([-LONG, -1, 0, 1, LONG]))

    store = {"redis": redis.url} if with_redis else {"files": str(tmp_path / "shared")}
    due = _read_together(
        [date.variables for date in dates],
        6,
        requests_per_second=rate,
        burst=burst,
        meanwhile=set_a_date,
        **store,
    )
    together = [at for of_one in due for at in of_one]
    assert _most_in_a_window(together, burst / rate) <= burst
    # A burst, then the rate: minus 3 %, and minus the losses of readers that wake up late on a busy machine.
    assert 0.7 * (burst + rate * (6 - burst / rate)) <= len(together)
    # The first readers get the burst; after it, the readers take turns.
    evenly = max(of_one[0] for of_one in due) + burst / rate
    shares = [sum(at > evenly for at in of_one) for of_one in due]
    assert min(shares) >= 0.8 * max(shares)


@pytest.mark.parametrize("burst", [4000, 5000])
def test_a_large_burst_over_files_is_kept_to(tmp_path: Path, burst: int) -> None:
    """Ten requests per second: the state neither grows nor starts over, however many requests there were."""
    stores = [FileStore(tmp_path), FileStore(tmp_path)]
    allowance = Allowance(10, burst)

    def change(found: bytes | None, now: float) -> tuple[bytes, int]:
        bucket, had, _ = take(decode(found), allowance, now, 1)
        return encode(bucket), had

    began = clock.now()
    granted = stores[0].update("key", change, 600)
    [path] = tmp_path.glob("*/key.value")
    size = path.stat().st_size
    granted += sum(stores[number % 2].update("key", change, 600) for number in range(1, burst + 1500))
    # While the burst is used up, the schedule loses less than it gains.
    assert burst - 10 * (clock.now() - began) - 1 <= granted <= burst
    assert path.stat().st_size == size
