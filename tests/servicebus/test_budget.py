"""The budget: how fast a namespace is read, and how it is slowed down."""

import asyncio
import random
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.scraping.budgets import decode, encode
from exporters.servicebus import clock
from exporters.servicebus.budget import Budget, unshared
from exporters.servicebus.errors import Reason, ServiceBusError
from exporters.servicebus.events import Events, ThrottlingBegan, ThrottlingEnded
from exporters.servicebus.request_rate import (
    Allowance,
    Bucket,
    Change,
    advanced,
    affordable,
    give_back,
    pace,
    refuse,
    requests_per_second,
    take,
)

STANDARD = Allowance()


@pytest.mark.parametrize(
    ("sku", "rate"), [("", 30), ("Basic", 30), ("standard", 30), ("Premium", 200), ("something new", 30)]
)
def test_the_default_goes_by_the_sku_and_the_unknown_counts_as_standard(sku: str, rate: float) -> None:
    assert (STANDARD.rate(sku), STANDARD.size(sku)) == (rate, rate)


def test_what_is_set_for_the_namespace_goes_before_the_sku() -> None:
    own = Allowance(requests_per_second=4, burst=2)
    assert (own.rate("premium"), own.size("premium")) == (4, 2)
    assert Allowance(requests_per_second=0.5).size("premium") == 1  # 0 would allow no request


def moments(
    bucket: Bucket, allowance: Allowance, now: float, had: int, wait: float
) -> list[tuple[float, int]]:
    """Return when a reader sends its granted requests."""
    if not wait:
        return [(now, had)]
    step = pace(bucket, allowance).step
    return [(now + wait + number * step, 1) for number in range(had)]


# Each step: the pause before it, the number of requests that a reader wants, how long it would wait for them, an event
# (a refusal by the service, or an unused request given back), and a step of the clock in seconds (0: none).
steps = st.lists(
    st.tuples(
        st.floats(0, 3) | st.sampled_from([0.0, 0.001, 0.03]),
        st.integers(1, 50),
        st.floats(0, 2) | st.just(0.0),
        st.sampled_from(["", "", "", "", "refused", "unused"]),
        st.sampled_from([0.0, 0.0, 0.0, 0.0, -3600.0, -0.5]),
    ),
    max_size=120,
)


@given(steps, st.floats(0.5, 500), st.integers(1, 5000))
def test_never_more_is_asked_in_any_stretch_of_time_than_the_budget_says(
    steps: list[tuple[float, int, float, str, float]], rate: float, burst: int
) -> None:
    allowance, bucket = Allowance(rate, burst), Bucket()
    real, ahead = 1000.0, 1e9  # the real time, and how far ahead of it the store's clock is
    taken: list[tuple[float, int]] = []
    for pause, wanted, patience, event, stepped in steps:
        real, ahead = real + pause, ahead + stepped
        before = bucket
        bucket, had, wait = take(bucket, allowance, real + ahead, wanted, patience)
        assert had <= wanted
        assert wait <= patience or not had
        assert had or wait > 0
        if had and event == "unused":
            bucket = give_back(bucket, allowance, real + ahead, 1, bucket)
            had -= 1
        taken += moments(bucket, allowance, real, had, wait)
        if event == "refused":
            bucket = refuse(bucket, real + ahead, None)
        assert len(encode(bucket)) <= 112
        assert decode(encode(bucket)) == bucket, before
    taken.sort()
    window = burst / rate
    for begin, _ in taken:
        # 1e-4 is the precision of times near 1e9.
        assert sum(had for at, had in taken if begin <= at < begin + window - 1e-4) <= burst


@pytest.mark.parametrize("seed", range(8))
def test_never_more_is_asked_where_many_readers_want_all_that_there_is(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(30):
        rate, burst = chance.choice([0.5, 3, 10, 30, 200, 1000]), chance.choice([1, 2, 3, 10, 30, 100, 1000])
        allowance, bucket, now, window = Allowance(rate, burst), Bucket(), 1000.0, burst / rate
        sent: list[tuple[float, int]] = []
        for _ in range(300):
            pause = chance.choice([0, 0, 0.02 * window, 0.2 * window, 1 / rate])
            now += chance.random() * (pause if chance.random() < 0.95 else 5 * window)
            patience = chance.choice([0, 0, chance.random() * window, 5 * chance.random() / rate])
            bucket, had, wait = take(bucket, allowance, now, chance.choice([1, 1, 1, 2, 4, 10, 50]), patience)
            sent += moments(bucket, allowance, now, had, wait)
        sent.sort()
        times = [at for at, _ in sent]
        until = [0, *accumulate(had for _, had in sent)]
        for first, begin in enumerate(times):
            behind = bisect_left(times, begin + window - 1e-6)
            assert until[behind] - until[first] <= burst, (rate, burst)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 3), st.integers(1, 50), st.floats(0, 2), st.sampled_from([0, 0, 0, -3600.0, -0.5])
        ),
        max_size=60,
    ),
    st.floats(0.5, 500),
    st.integers(1, 5000),
)
def test_a_clock_that_is_set_back_counts_as_one_that_stood_still(
    steps: list[tuple[float, int, float, float]], rate: float, burst: int
) -> None:
    allowance, stepped, even = Allowance(rate, burst), Bucket(), Bucket()
    now = elapsed = 100_000.0
    for pause, wanted, patience, step in steps:
        now, elapsed = now + pause + step, elapsed + max(0.0, pause + step)
        stepped, had, wait = take(stepped, allowance, now, wanted, patience)
        even, had_then, wait_then = take(even, allowance, elapsed, wanted, patience)
        assert (had, wait) == (had_then, pytest.approx(wait_then, abs=1e-6))


@pytest.mark.parametrize("burst", [1, 2, 10, 30, 400, 4000, 5000])
def test_little_of_the_rate_is_lost(burst: int) -> None:
    """Ten requests per second, by a reader that wakes up 2 ms late each time."""
    allowance, bucket, now = Allowance(10, burst), Bucket(), 0.0
    taken: list[float] = []
    while now < 1200:
        bucket, had, wait = take(bucket, allowance, now, 1, 1e9)
        assert had == 1
        now += wait + 0.002 if wait else 0.0
        taken.append(now)
    assert len(taken) <= burst + 12_000
    assert len(taken) >= min(burst, 10 * 1200) + 0.93 * (10 * 1200 - burst) * (burst < 12_000)
    assert sum(at < 400 for at in taken) >= 0.93 * max(4000, burst if burst <= 4000 else 0)


def test_there_is_leave_when_it_was_said_that_there_would_be() -> None:
    bucket, had, _ = take(Bucket(), STANDARD, 1000.0, 100)
    assert had == 30
    bucket, had, due = take(bucket, STANDARD, 1000.4, 1)
    assert had == 0
    assert due == pytest.approx(0.63, abs=0.01)
    assert take(bucket, STANDARD, 1000.4 + due + 1e-6, 100)[1] == 1  # evenly from now on


def test_a_read_that_goes_on_is_spread_evenly_after_its_first_burst() -> None:
    bucket, had, _ = take(Bucket(), STANDARD, 1000.0, 100)
    assert had == 30
    grants: list[float] = []
    now = 1000.0
    while now < 1003.0:
        bucket, had, due = take(bucket, STANDARD, now, 100)
        grants += [now] * had
        now += due if not had else 0.001
    gaps = [after - before for before, after in pairwise(grants)]
    assert grants[0] == pytest.approx(1001.03, abs=0.01)
    assert min(gaps) > 0.03
    assert len(grants) == pytest.approx(58, abs=3)
    assert take(bucket, STANDARD, 1005.0, 100)[1] == 30  # after a pause


def test_readers_who_wait_have_their_turns_in_the_order_in_which_they_came() -> None:
    bucket, had, _ = take(Bucket(), STANDARD, 1000.0, 30)
    assert had == 30
    waits = []
    for _ in range(20):
        bucket, had, wait = take(bucket, STANDARD, 1000.5, 1, 5)
        assert had == 1
        waits.append(wait)
    assert waits == sorted(waits)
    assert min(after - before for before, after in pairwise(waits)) > 0.033
    bucket, had, wait = take(bucket, STANDARD, 1000.5, 1, 0.9)  # wouldn't wait long enough
    assert had == 0
    assert take(bucket, STANDARD, 1000.5, 1, 5)[2] == wait  # and doesn't take another reader's turn


@pytest.mark.parametrize("step", [-3600.0, -5.0, 3600.0])
def test_a_step_of_the_clock_neither_locks_anybody_out_nor_gives_a_burst_away(step: float) -> None:
    bucket, now = Bucket(), 1e9
    bucket, had, _ = take(bucket, STANDARD, now, 100)
    assert had == 30
    now += step
    taken = 0
    for _ in range(300):  # 3 s
        bucket, had, _ = take(bucket, STANDARD, now, 100)
        taken += had
        now += 0.01
    assert 50 <= taken <= 90 + 30 * (step > 0)


def test_after_a_refusal_the_rate_halves_and_comes_back_step_by_step() -> None:
    bucket = refuse(Bucket(), 1000.0, None)
    assert requests_per_second(bucket, STANDARD) == 15
    rates = [requests_per_second(advanced(bucket, 1000.0 + second), STANDARD) for second in range(12)]
    assert rates == [15] * 6 + [22.5] * 5 + [30]


def test_refusals_of_requests_that_were_under_way_together_count_once() -> None:
    bucket = Bucket()
    for each in range(16):
        bucket = refuse(bucket, 1000.0 + each / 50, None)
    assert requests_per_second(bucket, STANDARD) == 15
    assert requests_per_second(refuse(bucket, 1002.0, None), STANDARD) == 7.5


@pytest.mark.parametrize(("retry_after", "pause"), [(None, 1), (7, 7), (0, 0), (100_000, 60)])
def test_nothing_is_asked_for_as_long_as_the_service_wants_within_reason(
    retry_after: float | None, pause: float
) -> None:
    bucket = refuse(Bucket(), 1000.0, retry_after)
    if pause:
        _, had, due = take(bucket, STANDARD, 1000.0 + pause - 0.01, 1, 100)
        assert had == 0
        assert due == pytest.approx(0.01)
    _, had, _ = take(bucket, STANDARD, 1000.0 + pause, 100)
    assert 15 <= had <= 30  # no more at once than in any other second; the pause is at most a minute


def test_what_can_be_afforded_is_what_a_reader_then_gets() -> None:
    for seconds in (0.0, 0.5, 1.0, 1.5, 3.0):
        for used in (0, 7, 30, 45):
            bucket, now = Bucket(), 1000.0
            bucket, had, wait = take(bucket, STANDARD, now, used, 10) if used else (bucket, 0, 0.0)
            now += 0.2 + wait
            expected = affordable(bucket, STANDARD, now, seconds)
            got, end = 0, now + seconds
            while True:
                bucket, had, wait = take(bucket, STANDARD, now, 1, max(0.0, end - now) + 1e-9)
                if not had:
                    break
                got, now = got + 1, now + wait
            assert got == pytest.approx(expected, abs=1), (seconds, used)


def test_leave_that_is_given_back_can_be_taken_again() -> None:
    bucket, had, _ = take(Bucket(), STANDARD, 1000.0, 30)
    assert had == 30
    taken = bucket
    bucket = give_back(bucket, STANDARD, 1000.1, 20, taken)
    # By then, these would have been used according to the schedule.
    assert give_back(bucket, STANDARD, 1000.9, 10, taken) == bucket
    assert take(bucket, STANDARD, 1000.1, 100)[1] == 20


def test_what_the_hub_does_not_know_of_a_bucket_is_a_fresh_one() -> None:
    bucket = take(Bucket(sku="premium"), STANDARD, 1000.0, 30)[0]
    kept = encode(bucket)
    assert decode(kept) == bucket
    throttled = encode(bucket._replace(factor=0.0))  # would never return to the full rate
    for other in (
        None,
        b"",
        b"{}",
        kept[:-1],
        kept + b" ",
        kept[:1] + b"\x09" + kept[2:],
        throttled,
        kept[:-7] + b"\xff" * 7,
        encode(()),  # type: ignore[arg-type]
    ):
        assert decode(other) == Bucket()


@dataclass
class Shared:
    """A bucket that several budgets draw from, and a clock that the test controls."""

    bucket: Bucket = field(default_factory=Bucket)
    changes: int = 0
    now: float | None = None  # None: the real clock

    async def update(self, change: Change) -> object:
        self.changes += 1
        self.bucket, result = change(self.bucket, clock.now() if self.now is None else self.now)
        return result


async def test_who_would_have_to_wait_for_too_long_is_told_so_at_once() -> None:
    budget = unshared(Allowance(requests_per_second=0.1, burst=1))
    now = asyncio.get_running_loop().time()
    await budget.acquire(now + 1)
    with pytest.raises(ServiceBusError) as refused:
        await budget.acquire(now + 2)
    assert refused.value.reason is Reason.BUDGET
    assert asyncio.get_running_loop().time() < now + 1.5


async def test_during_a_pause_that_the_service_asked_for_the_reason_is_throttled() -> None:
    budget = unshared(Allowance())
    await budget.throttled(30)
    with pytest.raises(ServiceBusError) as refused:
        await budget.acquire(asyncio.get_running_loop().time() + 5)
    assert refused.value.reason is Reason.THROTTLED


async def test_readers_of_one_namespace_draw_from_one_bucket() -> None:
    shared = Shared()
    budgets = [Budget(Allowance(requests_per_second=0.001, burst=7), shared.update) for _ in range(3)]
    until = asyncio.get_running_loop().time() + 1
    taken = 0
    for budget in budgets * 4:
        try:
            await budget.acquire(until)
        except ServiceBusError:
            continue
        taken += 1
    assert taken == 7


async def test_what_was_fetched_and_not_used_is_given_back() -> None:
    shared = Shared(now=1e9)
    allowance = Allowance(requests_per_second=1000, burst=1000)
    budget = Budget(allowance, shared.update)
    until = asyncio.get_running_loop().time() + 1
    turns = [asyncio.create_task(budget.acquire(until)) for _ in range(20)]
    await turns[0]
    assert affordable(shared.bucket, allowance, 1e9, 0) == 980  # taken for all waiting requests at once
    for turn in turns[1:]:
        turn.cancel()
    await asyncio.wait(turns)
    assert await budget.close() == 1000
    assert 998 <= affordable(shared.bucket, allowance, 1e9, 0) <= 999


async def test_leave_is_not_hoarded() -> None:
    """Requests taken early would go out together with those that others have taken in the meantime."""
    shared = Shared()
    budget = Budget(Allowance(requests_per_second=1000, burst=1000), shared.update)
    for _ in range(3):
        await budget.acquire(asyncio.get_running_loop().time() + 1)
        await asyncio.sleep(0.03)
    assert shared.changes == 3


async def test_a_read_asks_the_shared_state_once_for_a_request_at_the_default_rate() -> None:
    shared = Shared()
    budget = Budget(Allowance(), shared.update)
    until = asyncio.get_running_loop().time() + 10
    for _ in range(5):
        await budget.acquire(until)
    await budget.learn_sku("Standard")
    await budget.learn_sku("Standard")
    await budget.close()
    assert shared.changes == 6  # including one for the SKU


async def test_who_waits_while_the_service_asks_another_reader_for_a_pause_waits_for_its_end() -> None:
    shared = Shared()
    waiting, other = (Budget(Allowance(1, 1), shared.update) for _ in range(2))
    loop = asyncio.get_running_loop()
    await waiting.acquire(loop.time() + 1)
    turn = asyncio.create_task(waiting.acquire(loop.time() + 10))
    await asyncio.sleep(0.2)
    began = loop.time()
    await other.throttled(1.8)
    await turn
    assert loop.time() - began >= 1.79


async def test_an_episode_of_throttling_is_told_once_at_its_beginning_and_once_at_its_end() -> None:
    events = Events()
    shared = Shared(now=1e9)
    budgets = [Budget(Allowance(), shared.update, namespace="payments", events=events) for _ in range(3)]
    for budget in budgets:
        await budget.throttled(2)
    for second in range(40):
        shared.now = 1e9 + second
        for budget in budgets:
            await budget.learn_sku("Standard")
            try:
                await budget.acquire(0)
            except ServiceBusError:
                continue
    assert list(events) == [ThrottlingBegan("payments", 15, 2), ThrottlingEnded("payments")]
