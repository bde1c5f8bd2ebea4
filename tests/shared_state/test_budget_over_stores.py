"""Readers of two replicas draw from one budget, through a real Redis and through files."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from exporters.scraping.budgets import decode, encode
from exporters.servicebus.budget import Budget
from exporters.servicebus.errors import ServiceBusError
from exporters.servicebus.request_rate import Allowance, Change, Update
from exporters.shared_state.files import FileStore
from exporters.shared_state.redis import RedisStore
from exporters.shared_state.store import Store
from tests.servicebus.test_budget_moments import most_in_a_window
from tests.support.servers import Redis

SECONDS = 4.0
# How late a request may be sent on a busy machine.
LATE = 0.05


def _updates(store: Store) -> Update:
    def work(change: Change) -> Any:
        def changed(found: bytes | None, now: float) -> tuple[bytes, Any]:
            bucket, result = change(decode(found), now)
            return encode(bucket), result

        return store.update("budget", changed, 600)

    async def update(change: Change) -> Any:
        return await asyncio.to_thread(work, change)

    return update


@pytest.mark.parametrize(("with_redis", "rate", "burst"), [(False, 30, 30), (True, 30, 30), (True, 100, 50)])
async def test_two_replicas_keep_one_budget_and_lose_little_of_it(
    redis: Redis, tmp_path: Path, with_redis: bool, rate: float, burst: int
) -> None:
    """Some reads end early, and some end without giving back their unused requests."""
    replicas = [_updates(RedisStore(redis.url) if with_redis else FileStore(tmp_path)) for _ in range(2)]
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    sent: list[float] = []
    counts = [0] * 4

    async def send(budget: Budget, number: int, until: float) -> None:
        try:
            await budget.acquire(until)
        except ServiceBusError:
            return
        sent.append(loop.time())
        counts[number] += 1

    async def reader(number: int) -> None:
        while loop.time() < end:
            budget = Budget(Allowance(rate, burst), replicas[number % 2])
            until = min(end, loop.time() + random.random() * 3)
            await asyncio.gather(*(send(budget, number, until) for _ in range(random.choice([1, 3, 16]))))
            if random.random() < 0.9:
                await budget.close()
            await asyncio.sleep(0.001)

    await asyncio.gather(*(reader(number) for number in range(4)))
    assert most_in_a_window(sent, burst / rate - LATE) <= burst
    assert len(sent) >= 0.7 * (burst + rate * (SECONDS - burst / rate))
    assert min(counts) > 0
