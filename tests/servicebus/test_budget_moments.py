"""When requests are sent with many readers of one host: random readers on a virtual clock."""

import asyncio
import random
from bisect import bisect_left
from collections.abc import Coroutine
from typing import Any

import pytest

from exporters.servicebus.budget import Budget
from exporters.servicebus.errors import ServiceBusError
from exporters.servicebus.request_rate import Allowance, Bucket, Change

ALLOWANCES = [(0.5, 1), (3, 2), (10, 50), (30, 30), (30, 3), (200, 200), (1000, 30)]
HOUR = 3600.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that never waits: its time jumps to whatever is due next, or slightly further."""

    def __init__(self, late: float) -> None:
        self._now = 1000.0
        super().__init__()
        select = self._selector.select  # type: ignore[attr-defined]

        def at_once(timeout: float | None) -> Any:
            if timeout:
                self._now += timeout + late * random.random()
            return select(0)

        self._selector.select = at_once  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now


def run(work: Coroutine[Any, Any, None], late: float = 0.0) -> None:
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(late)) as runner:
        runner.run(work)


class Host:
    """The state that all readers share, and the times at which they sent requests."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.ahead = 1e6  # of the store's clock
        self.sent: list[float] = []
        self.buckets: dict[object, Bucket] = {}

    def updates(self, name: object) -> Any:
        async def update(change: Change) -> Any:
            await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.003]))  # network latency
            now = asyncio.get_running_loop().time() + self.ahead
            self.buckets[name], result = change(self.buckets.get(name, Bucket()), now)
            return result

        return update

    def budget(self, allowance: Allowance, own: object = None) -> Budget:
        return Budget(allowance, self.updates("host"), own=None if own is None else self.updates(own))

    async def send(self, budget: Budget, until: float, sent: list[float] | None = None) -> bool:
        try:
            await budget.acquire(until)
        except ServiceBusError:
            return False
        now = asyncio.get_running_loop().time()
        self.sent.append(now)
        if sent is not None:
            sent.append(now)
        return True

    async def read(self, budget: Budget, wanted: int, seconds: float, sent: list[float] | None = None) -> int:
        """Send up to `wanted` requests concurrently; return how many went out."""
        until = asyncio.get_running_loop().time() + seconds
        return sum(await asyncio.gather(*(self.send(budget, until, sent) for _ in range(wanted))))


def most_in_a_window(sent: list[float], seconds: float) -> int:
    """Return the highest number in any window of `seconds`; 1e-6 is the precision of times near 1e6."""
    sent = sorted(sent)
    return max(
        (bisect_left(sent, begin + seconds - 1e-6) - first for first, begin in enumerate(sent)), default=0
    )


@pytest.mark.parametrize("seed", range(40))
def test_readers_send_never_more_than_the_burst_in_a_window(seed: int) -> None:
    """Readers come and go, return unused requests or die with them; the clock is set back; some requests get a 429."""
    chance = random.Random(seed)
    rate, burst = chance.choice(ALLOWANCES)
    allowance, host, window = Allowance(rate, burst), Host(chance), burst / rate
    length = min(60.0, max(4 * window, 300 / rate))

    async def reader() -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + length
        while loop.time() < end:
            budget = host.budget(allowance)
            reading = asyncio.create_task(
                host.read(budget, chance.choice([1, 3, 16, 40]), chance.random() * 2 * window)
            )
            await asyncio.wait([reading], timeout=chance.random() * 2 * window)
            event = chance.choice(["close", "close", "close", "dies", "refused", "set back"])
            if event == "refused" and chance.random() < 0.2:
                await budget.throttled(chance.choice([None, 0.0, 0.3]))
            if event == "set back":
                host.ahead -= chance.choice([0.5, 5.0, HOUR])
            if not reading.done():
                reading.cancel()
                await asyncio.wait([reading])
            if event != "dies":
                await budget.close()
            await asyncio.sleep(chance.choice([0, 0, 0.01, 0.3 * window, 3 * window]))

    async def all_readers() -> None:
        await asyncio.gather(*(reader() for _ in range(chance.choice([1, 2, 6]))))

    run(all_readers())
    assert host.sent
    assert most_in_a_window(host.sent, window) <= burst, (rate, burst)


@pytest.mark.parametrize("seed", range(10))
def test_readers_that_wait_get_all_that_there_is_and_each_its_share(seed: int) -> None:
    chance = random.Random(seed)
    rate, burst = chance.choice(ALLOWANCES)
    host, seconds, readers = Host(chance), 40 * max(1, burst / rate / 10), 4
    counts = [0] * readers

    async def reader(number: int) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            budget = host.budget(Allowance(rate, burst))
            counts[number] += await host.read(budget, 16, 60 / rate + 5)
            await budget.close()

    async def all_readers() -> None:
        await asyncio.gather(*(reader(number) for number in range(readers)))

    run(all_readers(), late=0.001)
    assert sum(counts) >= 0.9 * (rate * seconds)
    assert min(counts) >= 0.6 * max(counts) - 32 - burst


@pytest.mark.parametrize("seed", range(20))
def test_readers_with_different_limits_keep_to_their_own_and_together_to_the_highest(seed: int) -> None:
    chance = random.Random(seed)
    limits = [chance.choice(ALLOWANCES) for _ in range(3)]
    host = Host(chance)
    rate, burst = max(rate for rate, _ in limits), max(burst for _, burst in limits)
    sent: list[list[float]] = [[] for _ in limits]

    async def reader(number: int) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + 20
        while loop.time() < end:
            budget = host.budget(Allowance(*limits[number]), own=number)
            await host.read(budget, chance.choice([1, 3, 16]), 10, sent[number])
            await budget.close()
            await asyncio.sleep(chance.choice([0, 0.1, 1, 5]))

    async def all_readers() -> None:
        await asyncio.gather(*(reader(number) for number in range(len(limits))))

    run(all_readers())
    assert most_in_a_window(host.sent, burst / rate) <= burst, limits
    for moments in sent:
        assert moments, "nobody is starved"
