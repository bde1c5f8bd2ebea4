"""How many management requests a second a namespace may be asked, and how it is slowed down when it asks for that.

A bucket of tokens, one a request: it fills with `requests_per_second` up to `burst`. Its state is a plain value that
every reader of the namespace shares (threads, worker processes, replicas), so times are Unix seconds: with clocks that
differ, the bucket fills by the clock that is ahead, and no faster. All functions here are pure.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .errors import Reason, ServiceBusError

# A Standard namespace has 1,000 credits a second for everything that it does, and a management request costs 10
# (Azure's page "Throttling operations on Azure Service Bus"): 30 requests are 30 % of them. Premium has no credits, but
# a CPU that can be overloaded.
REQUESTS_PER_SECOND_BY_SKU = {"basic": 30.0, "standard": 30.0, "premium": 200.0}
_UNKNOWN_SKU = "standard"

# Without Retry-After.
_PAUSE_SECONDS = 1.0
# A server that asks for more than this is asked again after it all the same.
_LONGEST_PAUSE_SECONDS = 60.0
# Answers of requests that were under way together belong to one refusal.
_ONE_REFUSAL_SECONDS = 1.0
_SMALLEST_FACTOR = 1 / 64
# After this long without a refusal the rate goes up by one step; from a half to the whole takes 10 s.
_STEP_SECONDS = 5.0
_STEP = 1.5


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a namespace's settings allow; None: the default of its SKU."""

    requests_per_second: float | None = None
    burst: int | None = None

    def rate(self, sku: str) -> float:
        """Return requests a second."""
        if self.requests_per_second is not None:
            return self.requests_per_second
        return REQUESTS_PER_SECOND_BY_SKU.get(sku.lower(), REQUESTS_PER_SECOND_BY_SKU[_UNKNOWN_SKU])

    def size(self, sku: str) -> float:
        """Return how many requests may be sent at once after a pause."""
        return float(self.burst) if self.burst is not None else max(1.0, self.rate(sku))


@dataclass(frozen=True, slots=True)
class Bucket:
    """The shared state of one namespace's budget."""

    tokens: float = -1.0  # below 0: never used, so full
    filled_at: float = 0.0
    sku: str = ""
    factor: float = 1.0  # of the rate; below 1 while an episode of throttling lasts
    stepped_at: float = 0.0  # when the factor changed last
    refused_at: float = 0.0
    not_before: float = 0.0

    @property
    def is_throttled(self) -> bool:
        return self.factor < 1.0


def requests_per_second(bucket: Bucket, allowance: Allowance) -> float:
    """Return the rate at this moment, throttling included."""
    return allowance.rate(bucket.sku) * bucket.factor


def filled(bucket: Bucket, allowance: Allowance, now: float) -> Bucket:
    """Return the bucket with what has come in until now, and a step further out of throttling where it is time."""
    size = allowance.size(bucket.sku)
    if bucket.tokens < 0:
        return replace(bucket, tokens=size, filled_at=now)
    elapsed = max(0.0, now - bucket.filled_at)
    tokens = min(size, bucket.tokens + elapsed * requests_per_second(bucket, allowance))
    factor, stepped_at = bucket.factor, bucket.stepped_at
    while factor < 1.0 and now - stepped_at >= _STEP_SECONDS:
        factor, stepped_at = min(1.0, factor * _STEP), stepped_at + _STEP_SECONDS
    return replace(
        bucket,
        tokens=tokens,
        filled_at=max(now, bucket.filled_at),
        factor=factor,
        stepped_at=stepped_at,
    )


def take(bucket: Bucket, allowance: Allowance, now: float, wanted: int) -> tuple[Bucket, int, float]:
    """Take up to `wanted` tokens; return the bucket, how many were had, and the seconds until one is due if none."""
    bucket = filled(bucket, allowance, now)
    pause = bucket.not_before - now
    if pause > 0:
        return bucket, 0, pause
    had = min(wanted, int(bucket.tokens))
    if had:
        return replace(bucket, tokens=bucket.tokens - had), had, 0.0
    # Filled until a time that is yet to come: after a pause, or by a clock that is ahead.
    due = bucket.filled_at - now + (1.0 - bucket.tokens) / requests_per_second(bucket, allowance)
    return bucket, 0, due


def give_back(bucket: Bucket, allowance: Allowance, unused: int) -> Bucket:
    """Return tokens that were taken and not used."""
    return replace(bucket, tokens=min(allowance.size(bucket.sku), bucket.tokens + unused))


def refuse(bucket: Bucket, allowance: Allowance, now: float, retry_after: float | None) -> Bucket:
    """Note a 429 or 503: the rate halves, and nothing is asked for as long as the service wants (`retry_after`, s)."""
    bucket = filled(bucket, allowance, now)
    pause = _PAUSE_SECONDS if retry_after is None else min(max(retry_after, 0.0), _LONGEST_PAUSE_SECONDS)
    factor, stepped_at = bucket.factor, bucket.stepped_at
    if now - bucket.refused_at >= _ONE_REFUSAL_SECONDS:
        factor, stepped_at = max(_SMALLEST_FACTOR, factor / 2), now
    return replace(
        bucket,
        # What had been saved up, or came in during the pause, would come down on the namespace at once.
        tokens=min(bucket.tokens, 1.0),
        filled_at=max(bucket.filled_at, now + pause),
        factor=factor,
        stepped_at=stepped_at,
        refused_at=now,
        not_before=max(bucket.not_before, now + pause),
    )


# Makes one change of the shared bucket, alone, and returns the change's second result.
Change = Callable[[Bucket], tuple[Bucket, Any]]
Update = Callable[[Change], Awaitable[Any]]

# How much of a second's tokens are taken at a time: with a high rate not every request asks the shared bucket.
_BATCH_SECONDS = 0.02


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
        self._tokens = 0
        self._turn = asyncio.Lock()

    async def acquire(self, wait_until: float) -> None:
        """Wait for leave to send one request.

        `wait_until` is a value of the running loop's time(). Raises ServiceBusError (budget; throttled during a pause
        that the service asked for) as soon as it is clear that there is no leave before it.
        """
        async with self._turn:
            while not self._tokens:
                pause = await self._fetch()
                if self._tokens:
                    break
                if asyncio.get_running_loop().time() + pause > wait_until:
                    raise await self._no_leave(pause)
                await asyncio.sleep(pause)
            self._tokens -= 1

    async def affordable(self, until: float) -> float:
        """Return how many requests there will be leave for until then, a value of the running loop's time()."""
        seconds = max(0.0, until - asyncio.get_running_loop().time())

        def look(bucket: Bucket) -> tuple[Bucket, float]:
            now = self._now()
            bucket = filled(bucket, self._allowance, now)
            rate = requests_per_second(bucket, self._allowance)
            coming = max(0.0, now + seconds - bucket.filled_at) * rate
            return bucket, bucket.tokens + coming if bucket.not_before < now + seconds else 0.0

        return float(await self._update(look)) + self._tokens

    async def throttled(self, retry_after: float | None) -> None:
        """Take note of a 429 or 503; `retry_after` in seconds."""

        def note(bucket: Bucket) -> tuple[Bucket, tuple[bool, float, float]]:
            now = self._now()
            after = refuse(bucket, self._allowance, now, retry_after)
            began = not bucket.is_throttled and after.is_throttled
            return after, (began, requests_per_second(after, self._allowance), after.not_before - now)

        began, rate, pause = await self._update(note)
        self._tokens = 0  # they are a part of what the service has just refused
        if began and self._log is not None:
            self._log.began(rate, pause)

    async def learn_sku(self, sku: str) -> None:
        """Take note of the namespace's SKU, which decides about the default."""

        def note(bucket: Bucket) -> tuple[Bucket, None]:
            return replace(bucket, sku=sku.lower()), None

        await self._update(note)

    async def close(self) -> float:
        """Give back what was not used; return the rate at this moment, in requests a second."""
        unused, self._tokens = self._tokens, 0

        def finish(bucket: Bucket) -> tuple[Bucket, float]:
            bucket = give_back(bucket, self._allowance, unused)
            return bucket, requests_per_second(bucket, self._allowance)

        return float(await self._update(finish))

    async def _fetch(self) -> float:
        """Fetch tokens; return how long to wait for one if there are none."""

        def fetch(bucket: Bucket) -> tuple[Bucket, tuple[int, float, bool]]:
            was_throttled = bucket.is_throttled
            rate = requests_per_second(bucket, self._allowance)
            bucket, had, pause = take(
                bucket, self._allowance, self._now(), max(1, int(rate * _BATCH_SECONDS))
            )
            return bucket, (had, pause, was_throttled and not bucket.is_throttled)

        self._tokens, pause, ended = await self._update(fetch)
        if ended and self._log is not None:
            self._log.ended()
        return float(pause)

    async def _no_leave(self, pause: float) -> ServiceBusError:
        paused = await self._update(lambda bucket: (bucket, bucket.not_before > self._now()))
        if paused:
            return ServiceBusError(
                Reason.THROTTLED, f"Service Bus has asked to slow down; it is asked again in {pause:.1f} s."
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
