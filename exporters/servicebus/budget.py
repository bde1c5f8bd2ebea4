"""The budget that a read has of its namespace: it asks the shared bucket for leave, and waits for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

from .bucket import (
    Allowance,
    Bucket,
    advanced,
    available,
    coming,
    give_back,
    refuse,
    requests_per_second,
    take,
)
from .errors import Reason, ServiceBusError

# How much of a second's requests is taken at a time: with a high rate not every request asks the shared state.
_BATCH_SECONDS = 0.02

# Makes one change of the shared bucket, alone, and returns the change's second result.
Change = Callable[[Bucket], tuple[Bucket, Any]]
Update = Callable[[Change], Awaitable[Any]]


class EpisodeLog(Protocol):
    """Told when a namespace begins to be throttled, and when it is at its full rate again."""

    def began(self, requests_per_second: float, pause_seconds: float) -> None: ...

    def ended(self) -> None: ...


class Budget:
    """One read's view of a namespace's bucket; asked before every management request."""

    def __init__(
        self,
        allowance: Allowance,
        update: Update,
        *,
        log: EpisodeLog | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._allowance = allowance
        self._update = update
        self._log = log
        self._now = now
        self._leave = 0
        self._turn = asyncio.Lock()

    async def acquire(self, wait_until: float) -> None:
        """Wait for leave to send one request.

        `wait_until` is a value of the running loop's time(). Raises ServiceBusError (budget; throttled while the
        service has asked to slow down) as soon as it is clear that there is no leave before it.
        """
        async with self._turn:
            while not self._leave:
                pause = await self._fetch()
                if self._leave:
                    break
                if asyncio.get_running_loop().time() + pause > wait_until:
                    raise await self._no_leave(pause)
                await asyncio.sleep(pause)
            self._leave -= 1

    async def affordable(self, until: float) -> float:
        """Return how many requests there will be leave for until then, a value of the running loop's time()."""
        seconds = max(0.0, until - asyncio.get_running_loop().time())

        def look(bucket: Bucket) -> tuple[Bucket, float]:
            now = self._now()
            bucket = advanced(bucket, self._allowance, now)
            left = seconds - max(0.0, bucket.not_before - now)
            if left <= 0:
                return bucket, 0.0
            return bucket, available(bucket, self._allowance, now) + coming(
                bucket, self._allowance, now, left
            )

        return float(await self._update(look)) + self._leave

    async def throttled(self, retry_after: float | None) -> None:
        """Take note of a 429 or 503; `retry_after` in seconds."""

        def note(bucket: Bucket) -> tuple[Bucket, tuple[bool, float, float]]:
            now = self._now()
            after = refuse(bucket, self._allowance, now, retry_after)
            began = not bucket.is_throttled and after.is_throttled
            return after, (began, requests_per_second(after, self._allowance), after.not_before - now)

        began, rate, pause = await self._update(note)
        self._leave = 0  # a part of what the service has just refused
        if began and self._log is not None:
            self._log.began(rate, pause)

    async def learn_sku(self, sku: str) -> None:
        """Take note of the namespace's SKU, which decides about the default."""

        def note(bucket: Bucket) -> tuple[Bucket, None]:
            return replace(bucket, sku=sku.lower()), None

        await self._update(note)

    async def close(self) -> float:
        """Give back what was not used; return the rate at this moment, in requests a second."""
        unused, self._leave = self._leave, 0

        def finish(bucket: Bucket) -> tuple[Bucket, float]:
            bucket = give_back(bucket, unused)
            return bucket, requests_per_second(bucket, self._allowance)

        return float(await self._update(finish))

    async def _fetch(self) -> float:
        """Fetch leave for some requests; return how long to wait for one if there is none."""

        def fetch(bucket: Bucket) -> tuple[Bucket, tuple[int, float, bool]]:
            was_throttled = bucket.is_throttled
            rate = requests_per_second(bucket, self._allowance)
            bucket, had, pause = take(
                bucket, self._allowance, self._now(), max(1, int(rate * _BATCH_SECONDS))
            )
            return bucket, (had, pause, was_throttled and not bucket.is_throttled)

        self._leave, pause, ended = await self._update(fetch)
        if ended and self._log is not None:
            self._log.ended()
        return float(pause)

    async def _no_leave(self, pause: float) -> ServiceBusError:
        throttled = await self._update(lambda bucket: (bucket, bucket.is_throttled))
        if throttled:
            return ServiceBusError(
                Reason.THROTTLED, f"Service Bus asks to slow down; it is asked again in {pause:.1f} s."
            )
        return ServiceBusError(
            Reason.BUDGET,
            "The namespace's budget of management requests does not allow more before the deadline.",
        )


def unshared(allowance: Allowance) -> Budget:
    """Return a budget whose bucket nobody else draws from."""
    bucket = Bucket()

    async def update(change: Change) -> Any:
        nonlocal bucket
        bucket, result = change(bucket)
        return result

    return Budget(allowance, update)
