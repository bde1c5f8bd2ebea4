"""The budget: how fast a namespace is asked, and how it is slowed down."""

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.servicebus.bucket import (
    Allowance,
    Bucket,
    advanced,
    available,
    give_back,
    refuse,
    requests_per_second,
    take,
)
from exporters.servicebus.budget import Budget, Change, unshared
from exporters.servicebus.errors import Reason, ServiceBusError

STANDARD = Allowance()


@pytest.mark.parametrize(
    ("sku", "rate"), [("", 30), ("Basic", 30), ("standard", 30), ("Premium", 200), ("something new", 30)]
)
def test_the_default_goes_by_the_sku_and_the_unknown_counts_as_standard(sku: str, rate: float) -> None:
    assert (STANDARD.rate(sku), STANDARD.size(sku)) == (rate, rate)


def test_what_is_set_for_the_namespace_goes_before_the_sku() -> None:
    own = Allowance(requests_per_second=4, burst=2)
    assert (own.rate("premium"), own.size("premium")) == (4, 2)
    assert Allowance(requests_per_second=0.5).size("premium") == 1  # or nothing could ever be asked


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 50), st.booleans()), max_size=60),
    st.floats(0.5, 500),
    st.integers(1, 100),
)
def test_never_more_is_asked_in_any_stretch_of_time_than_the_budget_says(
    steps: list[tuple[float, int, bool]], rate: float, burst: int
) -> None:
    allowance, bucket, now = Allowance(rate, burst), Bucket(), 1e9
    taken: list[tuple[float, int]] = []
    for pause, wanted, refused in steps:
        now += pause
        bucket, had, due = take(bucket, allowance, now, wanted)
        taken.append((now, had))
        assert had <= wanted
        assert (due > 0) == (had == 0)
        if refused:
            bucket = refuse(bucket, allowance, now, None)
    for begin, _ in taken:
        # 1e-4: times near 1e9 are this coarse.
        assert sum(had for at, had in taken if begin <= at < begin + burst / rate - 1e-4) <= burst


def test_there_is_leave_when_it_was_said_that_there_would_be() -> None:
    bucket, had, _ = take(Bucket(), STANDARD, 1000.0, 100)
    assert had == 30
    bucket, had, due = take(bucket, STANDARD, 1000.4, 1)
    assert had == 0
    assert due == pytest.approx(0.6)
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
    assert grants[0] == pytest.approx(1001.0, abs=0.01)
    assert min(gaps) > 0.03
    assert len(grants) == pytest.approx(59, abs=3)
    assert take(bucket, STANDARD, 1005.0, 100)[1] == 30  # after a pause


def test_after_a_refusal_the_rate_halves_and_comes_back_step_by_step() -> None:
    bucket = refuse(Bucket(), STANDARD, 1000.0, None)
    assert requests_per_second(bucket, STANDARD) == 15
    rates = [
        requests_per_second(advanced(bucket, STANDARD, 1000.0 + second), STANDARD) for second in range(12)
    ]
    assert rates == [15] * 6 + [22.5] * 5 + [30]


def test_refusals_of_requests_that_were_under_way_together_count_once() -> None:
    bucket = Bucket()
    for each in range(16):
        bucket = refuse(bucket, STANDARD, 1000.0 + each / 50, None)
    assert requests_per_second(bucket, STANDARD) == 15
    assert requests_per_second(refuse(bucket, STANDARD, 1002.0, None), STANDARD) == 7.5


@pytest.mark.parametrize(("retry_after", "pause"), [(None, 1), (7, 7), (0, 0), (100_000, 60)])
def test_nothing_is_asked_for_as_long_as_the_service_wants_within_reason(
    retry_after: float | None, pause: float
) -> None:
    bucket = refuse(Bucket(), STANDARD, 1000.0, retry_after)
    if pause:
        _, had, due = take(bucket, STANDARD, 1000.0 + pause - 0.01, 1)
        assert had == 0
        assert due == pytest.approx(0.01)
    _, had, _ = take(bucket, STANDARD, 1000.0 + pause, 100)
    assert 15 <= had <= 30  # no more at once than in any other second; after a minute it is over


def test_what_a_clock_that_is_ahead_has_taken_counts_for_the_one_that_is_behind() -> None:
    bucket, _, _ = take(Bucket(), STANDARD, 1000.0, 20)
    assert available(bucket, STANDARD, 990.0) == 10
    assert available(give_back(bucket, 5), STANDARD, 990.0) == 15
    assert give_back(bucket, 100).used == ()


@dataclass
class Shared:
    """A bucket that several budgets draw from, and a clock that only `wait` moves."""

    bucket: Bucket = field(default_factory=Bucket)
    changes: int = 0

    async def update(self, change: Change) -> object:
        self.changes += 1
        self.bucket, result = change(self.bucket)
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
    shared = Shared()
    budget = Budget(Allowance(requests_per_second=1000, burst=1000), shared.update, now=lambda: 1e9)
    await budget.acquire(asyncio.get_running_loop().time() + 1)
    assert shared.bucket.used == ((1e9, 20),)  # 20 ms' worth at a time
    assert await budget.close() == 1000
    assert shared.bucket.used == ((1e9, 1),)


async def test_an_episode_of_throttling_is_told_once_at_its_beginning_and_once_at_its_end() -> None:
    said: list[str] = []

    class Log:
        def began(self, requests_per_second: float, pause_seconds: float) -> None:
            said.append(f"began at {requests_per_second:g}/s after {pause_seconds:g} s")

        def ended(self) -> None:
            said.append("ended")

    shared, clock = Shared(), [1e9]
    budgets = [Budget(Allowance(), shared.update, log=Log(), now=lambda: clock[0]) for _ in range(3)]
    for budget in budgets:
        await budget.throttled(2)
    for second in range(40):
        clock[0] = 1e9 + second
        for budget in budgets:
            await budget.learn_sku("Standard")
            try:
                await budget.acquire(0)
            except ServiceBusError:
                continue
    assert said == ["began at 15/s after 2 s", "ended"]
