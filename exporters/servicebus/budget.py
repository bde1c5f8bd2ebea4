"""The budget that a read has of its namespace: it takes leave from the shared bucket, and waits until it is due."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from . import clock
from .bucket import (
    Allowance,
    Bucket,
    advanced,
    affordable,
    give_back,
    known_sku,
    refuse,
    requests_per_second,
    take,
)
from .errors import Reason, ServiceBusError

# How much of a second's requests is taken at a time, and for how long it may be used: with a high rate not every
# request asks the shared state.
_BATCH_SECONDS = 0.02
# Before leave is used that was taken this long ago, the bucket is asked whether the service has wanted a pause since.
_CONFIRMED_AFTER_SECONDS = 0.1

# Makes one change of the shared bucket, alone: is given the bucket and the time, in seconds of the clock that all who
# share the bucket have in common. Returns the change's second result.
Change = Callable[[Bucket, float], tuple[Bucket, Any]]
Update = Callable[[Change], Awaitable[Any]]


class EpisodeLog(Protocol):
    """Told when a namespace begins to be throttled, and when it is at its full rate again."""

    def began(self, requests_per_second: float, pause_seconds: float) -> None: ...

    def ended(self) -> None: ...


class Budget:
    """One read's view of a namespace's bucket; asked before every management request."""

    def __init__(self, allowance: Allowance, update: Update, *, log: EpisodeLog | None = None) -> None:
        self._allowance = allowance
        self._update = update
        self._log = log
        # The bucket as this read has seen it last.
        self._seen: Bucket | None = None
        self._leave = 0
        self._leave_until = 0.0  # the running loop's time()
        self._taken_up_to = 0.0  # the bucket's `next_at` when the leave was taken
        self._refusals = 0
        self._turn = asyncio.Lock()

    async def acquire(self, wait_until: float) -> None:
        """Wait for leave to send one request.

        `wait_until` is a value of the running loop's time(). Raises ServiceBusError (budget; throttled while the
        service has asked to slow down) as soon as it is clear that there is no leave before it.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            while not self._leave or loop.time() > self._leave_until:
                await self._fetch(max(0.0, wait_until - loop.time()))
            self._leave -= 1

    async def affordable(self, until: float) -> float:
        """Return how many requests there will be leave for until then, a value of the running loop's time()."""
        seconds = max(0.0, until - asyncio.get_running_loop().time())

        def look(bucket: Bucket, now: float) -> tuple[Bucket, int]:
            bucket = advanced(bucket, now)
            return bucket, affordable(bucket, self._allowance, now, seconds)

        return float(await self._change(look)) + self._leave

    async def throttled(self, retry_after: float | None) -> None:
        """Take note of a 429 or 503; `retry_after` in seconds."""

        def note(bucket: Bucket, now: float) -> tuple[Bucket, tuple[bool, float, float]]:
            after = refuse(bucket, now, retry_after)
            began = not bucket.is_throttled and after.is_throttled
            return after, (began, requests_per_second(after, self._allowance), after.not_before - now)

        # Leave that was taken before is a part of what the service has just refused.
        self._leave = 0
        self._refusals += 1
        began, rate, pause = await self._change(note)
        if began and self._log is not None:
            self._log.began(rate, pause)

    async def learn_sku(self, sku: str) -> None:
        """Take note of the namespace's SKU, which decides about the default."""
        if self._seen is None or self._seen.sku != known_sku(sku):
            await self._change(lambda bucket, _: (bucket._replace(sku=known_sku(sku)), None))

    async def close(self) -> float:
        """Give back what was not used; return the rate as this read has seen it last, in requests a second."""
        if self._leave or self._seen is None:
            unused, self._leave = self._leave, 0
            await self._change(lambda bucket, now: (self._given_back(bucket, now, unused), None))
        assert self._seen is not None  # noqa: S101 - it has just been seen
        return requests_per_second(self._seen, self._allowance)

    async def _change(self, change: Change) -> Any:
        def seen(bucket: Bucket, now: float) -> tuple[Bucket, tuple[Bucket, Any]]:
            after, result = change(bucket, now)
            return after, (after, result)

        self._seen, result = await self._update(seen)
        return result

    async def _fetch(self, patience: float) -> None:
        """Take leave for some requests and wait, for up to `patience` seconds, until it may be used.

        Returns without leave when it is to be asked again. Raises ServiceBusError when the wait would be too long.
        """
        stale, self._leave = self._leave, 0

        def fetch(bucket: Bucket, now: float) -> tuple[Bucket, tuple[int, float, bool]]:
            was_throttled = bucket.is_throttled
            if stale:
                bucket = self._given_back(bucket, now, stale)
            wanted = max(1, int(requests_per_second(bucket, self._allowance) * _BATCH_SECONDS))
            bucket, had, wait = take(bucket, self._allowance, now, wanted, patience)
            return bucket, (had, wait, was_throttled and not bucket.is_throttled)

        refusals = self._refusals
        had, wait, ended = await self._change(fetch)
        assert self._seen is not None  # noqa: S101 - it has just been seen
        taken_up_to = self._seen.next_at
        if ended and self._log is not None:
            self._log.ended()
        if not had and wait > patience:
            raise self._no_leave(wait)
        if wait:
            await asyncio.sleep(wait)
        if not had or refusals != self._refusals:
            return
        if wait > _CONFIRMED_AFTER_SECONDS and await self._is_paused():
            return
        self._leave, self._taken_up_to = had, taken_up_to
        self._leave_until = asyncio.get_running_loop().time() + _BATCH_SECONDS

    async def _is_paused(self) -> bool:
        return bool(await self._change(lambda bucket, now: (bucket, bucket.not_before > now)))

    def _given_back(self, bucket: Bucket, now: float, unused: int) -> Bucket:
        return give_back(advanced(bucket, now), self._allowance, now, unused, self._taken_up_to)

    def _no_leave(self, wait: float) -> ServiceBusError:
        if self._seen is not None and self._seen.is_throttled:
            return ServiceBusError(
                Reason.THROTTLED, f"Service Bus asks to slow down; it is asked again in {wait:.1f} s."
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
        bucket, result = change(bucket, clock.now())
        return result

    return Budget(allowance, update)
