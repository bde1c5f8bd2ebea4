"""A read's budget for its namespace: takes permits from the shared bucket and waits until they are due."""

import asyncio
from collections import deque
from typing import Any, NamedTuple

from . import clock
from .errors import Reason, ServiceBusError
from .events import DISCARDED, Events, ThrottlingBegan, ThrottlingEnded
from .request_rate import (
    Allowance,
    Bucket,
    Change,
    Update,
    advanced,
    affordable,
    delayed,
    give_back,
    highest,
    known_sku,
    lower,
    pace,
    refuse,
    requests_per_second,
    take,
    with_reader,
)
from .unproven_credentials import UNPROVEN, UNPROVEN_MESSAGE, Proof

# How late a permit may be used. Permits are only taken for requests that wait, so they are used when they are due.
_LATE_SECONDS = 0.02
# Before permits are used that were taken this long ago, the bucket is checked for a pause that the service has since
# asked for.
_CONFIRMED_AFTER_SECONDS = 0.1

_BUDGET_MESSAGE = "The namespace's budget for management requests does not allow more before the deadline."


class _Fetched(NamedTuple):
    had: int = 0
    wait: float = 0.0  # seconds until the first one
    step: float = 0.0  # seconds between two
    ended: bool = False  # whether an episode of throttling was over
    is_below: bool = False  # whether a permit of the reader's own bucket is needed first


class Budget:
    """One read's view of a host's bucket. Every management request needs a permit from `acquire`."""

    def __init__(
        self,
        allowance: Allowance,
        update: Update,
        *,
        own: Update | None = None,
        proof: Proof | None = None,
        namespace: str = "",
        events: Events = DISCARDED,
    ) -> None:
        """`update` changes the host's bucket.

        `own` changes the bucket of the readers that have this allowance for the host. It is used in addition while
        other readers have a higher allowance; None means that no other reader has. `proof` is None if the credential
        needs no proof. `events` gets the episodes of throttling, with the name `namespace`.
        """
        self._allowance = allowance
        self._update = update
        self._own = own
        self._proof = proof
        self._namespace = namespace
        self._events = events
        # The host's bucket as this read last saw it.
        self._seen: Bucket | None = None
        self._leave: deque[float] = deque()  # when each request is due, by the running loop's time()
        self._waiting = 0
        self._taken = Bucket()  # the bucket just after the permits were taken
        self._refusals = 0
        self._turn = asyncio.Lock()
        self._is_proven = proof is None
        self._is_known = proof is None  # whether `proof` was consulted
        # Requests before the proof, and the seconds by which they advanced the schedule.
        self._unproven = (0, 0.0)
        self._is_below = False  # whether other readers of the host have a higher allowance

    async def is_proven(self) -> bool:
        """Return whether the host is known to accept the credential. Until it is, requests go out one at a time."""
        if not self._is_known and self._proof is not None:
            self._is_proven = await self._proof.is_proven()
            self._is_known = True
        return self._is_proven

    async def answered(self, accepted: bool) -> None:
        """Record that the host accepted the credential, or that it refused every header the credential provides."""
        if self._proof is not None and accepted != self._is_proven:
            self._is_proven = accepted
            await self._proof.note(accepted)

    async def failed(self, error: ServiceBusError) -> None:
        """Record why a request before the proof failed."""
        if self._proof is not None:
            await self._proof.failed(error)

    def former_failure(self) -> ServiceBusError | None:
        """Return why the last request with this credential failed, if that was recent."""
        return self._proof.former_failure() if self._proof is not None else None

    async def acquire(self, wait_until: float) -> None:
        """Wait for a permit to send one request.

        `wait_until` is a value of the running loop's time(). Raises ServiceBusError (budget; throttled during an
        episode of throttling) as soon as it is clear that no permit is due by then.
        """
        self._waiting += 1
        try:
            async with self._turn:
                await self._take_turn(wait_until)
        finally:
            self._waiting -= 1

    async def _take_turn(self, wait_until: float) -> None:
        loop = asyncio.get_running_loop()
        passed = False  # whether the additional bucket has given a permit
        while True:
            refusals = self._refusals
            while self._leave and self._leave[0] < loop.time() - _LATE_SECONDS:
                self._leave.popleft()  # lost: it would go out in addition to what is due now
            if not self._leave:
                second = None if passed else await self._second()
                if second is not None:
                    await self._pass(*second, wait_until)
                    passed = True
                await self._fetch(max(0.0, wait_until - loop.time()), passed)
                continue
            due = self._leave[0]
            if due > max(wait_until, loop.time()):
                raise self._no_leave(due - loop.time())
            await asyncio.sleep(max(0.0, due - loop.time()))
            if refusals == self._refusals and self._leave:
                self._leave.popleft()
                return

    async def _all_waiting(self) -> int:
        """Return how many requests wait, including those that are about to."""
        counted = 0
        while counted < self._waiting:
            counted = self._waiting
            await asyncio.sleep(0)
        return counted

    async def _second(self) -> tuple[Update, Allowance, str] | None:
        """Return the Update of the bucket to use before the host's, its allowance, and the message of a refusal."""
        if self._proof is not None and not await self.is_proven():
            return self._proof.update, UNPROVEN, UNPROVEN_MESSAGE
        if self._own is not None and self._is_below and self._seen is not None:
            return self._own, self._resolved(self._seen), _BUDGET_MESSAGE
        return None

    async def _pass(self, update: Update, allowance: Allowance, message: str, wait_until: float) -> None:
        """Take a permit for one request from a bucket other than the host's, and wait until it is due."""
        patience = max(0.0, wait_until - asyncio.get_running_loop().time())

        def one(bucket: Bucket, now: float) -> tuple[Bucket, tuple[int, float]]:
            bucket, had, wait = take(bucket, allowance, now, 1, patience)
            return bucket, (had, wait)

        had, wait = await update(one)
        if not had:
            raise ServiceBusError(Reason.BUDGET, message)
        await asyncio.sleep(wait)

    async def affordable(self, until: float) -> float:
        """Return how many requests can be sent by `until`, a value of the running loop's time()."""
        seconds = max(0.0, until - asyncio.get_running_loop().time())

        def look(bucket: Bucket, now: float) -> tuple[Bucket, int]:
            bucket = advanced(bucket, now)
            return bucket, affordable(bucket, self._resolved(bucket), now, seconds)

        return float(await self._change(look)) + len(self._leave)

    async def throttled(self, retry_after: float | None) -> None:
        """Record a 429 or 503; `retry_after` is in seconds."""

        def note(bucket: Bucket, now: float) -> tuple[Bucket, tuple[bool, float, float]]:
            after = refuse(bucket, now, retry_after)
            began = not bucket.is_throttled and after.is_throttled
            return after, (began, requests_per_second(after, highest(after)), after.not_before - now)

        # Permits taken earlier are part of the rate that the service has just refused.
        self._leave.clear()
        self._refusals += 1
        began, rate, pause = await self._change(note)
        if began:
            self._events.append(ThrottlingBegan(self._namespace, rate, pause))

    async def learn_sku(self, sku: str) -> None:
        """Record the namespace's SKU, which determines the default allowance."""
        if self._seen is None or self._seen.sku != known_sku(sku):
            await self._change(lambda bucket, _: (bucket._replace(sku=known_sku(sku)), None))

    async def close(self) -> float:
        """Give back unused permits; return the rate that this read last saw, in requests per second."""
        if self._leave or self._seen is None or (self._is_proven and self._unproven[0]):
            unused = len(self._leave)
            self._leave.clear()

            def end(bucket: Bucket, now: float) -> tuple[Bucket, None]:
                return self._given_back(self._joined(bucket, now), now, unused), None

            await self._change(end)
            self._unproven = (0, 0.0)
        assert self._seen is not None  # noqa: S101 - it has just been seen
        return requests_per_second(self._seen, self._allowance)

    async def _change(self, change: Change) -> Any:
        def seen(bucket: Bucket, now: float) -> tuple[Bucket, tuple[Bucket, Any]]:
            after, result = change(bucket, now)
            return after, (after, result)

        self._seen, result = await self._update(seen)
        return result

    async def _fetch(self, patience: float, passed: bool) -> None:
        """Take permits for some requests and wait, for up to `patience` seconds, until they may be used.

        Returns without permits when the caller has to try again. Raises ServiceBusError when the wait would be too
        long.
        """
        wanted = 1 if passed else await self._all_waiting()

        def fetch(bucket: Bucket, now: float) -> tuple[Bucket, _Fetched]:
            was_throttled = bucket.is_throttled
            bucket = self._joined(bucket, now)
            is_below = self._is_proven and self._own is not None and lower(self._allowance, bucket)
            if is_below and not passed:
                return bucket, _Fetched(is_below=True)
            allowance = highest(bucket)
            bucket, had, wait = take(bucket, allowance, now, wanted, patience)
            ended = was_throttled and not bucket.is_throttled
            return bucket, _Fetched(had, wait, pace(bucket, allowance).step, ended, is_below)

        refusals = self._refusals
        had, wait, step, ended, self._is_below = await self._change(fetch)
        loop = asyncio.get_running_loop()
        fetched_at = loop.time()
        assert self._seen is not None  # noqa: S101 - it has just been seen
        taken = self._seen
        if self._is_proven:
            self._unproven = (0, 0.0)
        else:
            self._unproven = (self._unproven[0] + had, self._unproven[1] + had * step)
        if ended:
            self._events.append(ThrottlingEnded(self._namespace))
        if not had and wait > patience:
            raise self._no_leave(wait)
        if not had:
            await asyncio.sleep(wait)
            return
        if self._is_below and self._own is not None and wait:
            await self._own(lambda bucket, _: (delayed(bucket, wait), None))
        if wait > _CONFIRMED_AFTER_SECONDS:
            await asyncio.sleep(wait - _LATE_SECONDS)  # leaves time to check before the first request is due
            if await self._is_paused():
                return
        if refusals != self._refusals:
            return
        self._leave.extend(fetched_at + wait + number * step * bool(wait) for number in range(had))
        self._taken = taken

    def _joined(self, bucket: Bucket, now: float) -> Bucket:
        """Return the bucket with this reader's allowance counted in, once its credential is proven.

        Until then, its requests count as requests of the other readers. Otherwise, a reader without a valid credential
        and with a low allowance could advance the schedule by any amount.
        """
        if not self._is_proven:
            return bucket
        bucket = with_reader(bucket, self._allowance, now)
        number, seconds = self._unproven
        missing = number * pace(bucket, highest(bucket)).step - seconds
        return bucket._replace(next_at=bucket.next_at + missing) if missing > 0 else bucket

    def _resolved(self, bucket: Bucket) -> Allowance:
        """Return the reader's allowance, with the host's SKU taken into account."""
        allowance = self._allowance
        return Allowance(allowance.rate(bucket.sku), int(allowance.size(bucket.sku)))

    async def _is_paused(self) -> bool:
        return bool(await self._change(lambda bucket, now: (bucket, bucket.not_before > now)))

    def _given_back(self, bucket: Bucket, now: float, unused: int) -> Bucket:
        return give_back(advanced(bucket, now), highest(bucket), now, unused, self._taken)

    def _no_leave(self, wait: float) -> ServiceBusError:
        if self._seen is not None and self._seen.is_throttled:
            return ServiceBusError(
                Reason.THROTTLED, f"Service Bus is throttling requests. The hub tries again in {wait:.1f} s."
            )
        return ServiceBusError(Reason.BUDGET, _BUDGET_MESSAGE)


def unshared(allowance: Allowance) -> Budget:
    """Return a budget with a bucket that no other read draws from."""
    bucket = Bucket()

    async def update(change: Change) -> Any:
        nonlocal bucket
        bucket, result = change(bucket, clock.now())
        return result

    return Budget(allowance, update)
