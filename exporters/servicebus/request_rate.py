"""How many management requests per second a namespace receives, and how throttling lowers that rate.

A namespace receives at most `burst` requests in any window of `burst / requests_per_second` seconds: by default 30 in
any second for a Standard namespace. A plain token bucket would allow 60 in the second after a pause, which costs 60 %
of the namespace's credits.

After a pause, a burst may be sent without spacing. From the end of its window on, requests are evenly spaced. The state
is a plain value of constant size that all readers of a namespace (threads, worker processes, replicas) share. The next
step of the even schedule, `next_at`, advances by one step with each request, including those of the burst. It therefore
encodes both the number of requests since `began` and the moment up to which the schedule is used up, so no list of
requests is needed.

Why a window never holds more than `burst` requests: a step of the schedule is `window / (burst - slack)` long, and the
schedule never falls further behind the clock than `slack` steps (anything beyond is lost). A window that begins with
one request therefore has room for at most `burst - slack` steps plus `slack` steps of catching up. A burst only uses
steps of its own window in advance.

Readers with different allowances share the schedule. It follows the highest rate and the highest burst among them,
which the bucket remembers. A reader with a lower allowance also draws from a bucket of its own (see `budget`).

All times are seconds on one clock: that of the store that keeps the state. All functions are pure.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

# A Standard namespace has 1,000 credits per second for all of its operations, and a management request costs 10
# (Azure's page "Throttling operations on Azure Service Bus"): 30 requests use 30 % of them. Premium has no credits, but
# its CPU can be overloaded.
REQUESTS_PER_SECOND_BY_SKU = {"basic": 30.0, "standard": 30.0, "premium": 200.0}
_UNKNOWN_SKU = "standard"

# The pause after a refusal without Retry-After.
_PAUSE_SECONDS = 1.0
# The longest pause, even if Retry-After asks for more.
_LONGEST_PAUSE_SECONDS = 60.0
# Refusals this close together count as one: their requests were in flight at the same time.
_ONE_REFUSAL_SECONDS = 1.0
SMALLEST_FACTOR = 1 / 64
# The fraction of a burst by which the schedule may fall behind and catch up. The even rate is below the allowed rate by
# the same fraction. Without slack, a reader that always wakes a little late would lose more than that.
_SLACK = 1 / 32
# A pause of this many windows ends the even schedule: the next burst may go out at once. One window would be enough for
# the requests as they are sent, but if the first of two bursts is delayed, both could reach the service together.
_PAUSE_WINDOWS = 2
# How far ahead a reader takes steps of the even schedule. It may take this long to notice that another reader was
# refused.
GROUP_SECONDS = 0.5
# After this long without a refusal, the rate goes up by one step. From half to full takes 10 s.
_STEP_SECONDS = 5.0
_STEP = 1.5
# How long the highest allowance still counts after its last use.
_HIGHEST_SECONDS = 300.0
# Tolerance in requests, because differences of times are not exact.
_ROUNDING = 1e-6


class Allowance(NamedTuple):
    """What a namespace's settings allow; None means the default of its SKU."""

    requests_per_second: float | None = None
    burst: int | None = None

    def rate(self, sku: str) -> float:
        """Return requests per second."""
        if self.requests_per_second is not None:
            return self.requests_per_second
        return REQUESTS_PER_SECOND_BY_SKU[known_sku(sku) or _UNKNOWN_SKU]

    def size(self, sku: str) -> float:
        """Return how many requests may be sent at once after a pause."""
        return float(self.burst) if self.burst is not None else max(1.0, self.rate(sku))


class Bucket(NamedTuple):
    """The shared state of one namespace's budget."""

    now: float = 0.0  # when the bucket was last evaluated
    began: float = -math.inf  # when the first request after a pause was sent
    next_at: float = -math.inf  # the next step of the even schedule
    last: float = -math.inf  # when the last request was, or will be, sent
    factor: float = 1.0  # multiplies rate and burst; below 1 during an episode of throttling
    stepped_at: float = -math.inf  # when the wait for the factor's next step up began
    refused_at: float = -math.inf
    not_before: float = -math.inf
    # The highest of the readers' allowances; 0 before the first reader.
    highest_rate: float = 0.0
    highest_burst: float = 0.0
    highest_until: float = -math.inf
    sku: str = ""

    @property
    def is_throttled(self) -> bool:
        return self.factor < 1.0


# An Update applies one Change to the shared bucket, with no other change in between, and returns the Change's second
# result. The Change receives the bucket and the time, in seconds of the clock that all users of the bucket share.
Change = Callable[[Bucket, float], tuple[Bucket, Any]]
Update = Callable[[Change], Awaitable[Any]]


class Pace(NamedTuple):
    """The effective limits of an allowance at one moment, throttling included."""

    burst: int
    window: float  # seconds in which no more than `burst` requests are sent
    step: float  # seconds between two requests of the even schedule
    slack: float  # seconds that the even schedule may fall behind


def known_sku(sku: str) -> str:
    """Return the SKU in lower case; empty if it is unknown."""
    return sku.lower() if sku.lower() in REQUESTS_PER_SECOND_BY_SKU else ""


def with_reader(bucket: Bucket, allowance: Allowance, now: float) -> Bucket:
    """Return the bucket with a reader's allowance counted in; the highest allowance applies."""
    rate, burst = allowance.rate(bucket.sku), allowance.size(bucket.sku)
    # A lower allowance applies alone only after a pause that separates it from requests of the higher one.
    if now < bucket.highest_until or now - bucket.last < _PAUSE_WINDOWS * burst / rate:
        if rate < bucket.highest_rate and int(burst) < int(bucket.highest_burst):
            return bucket
        rate, burst = max(rate, bucket.highest_rate), max(burst, bucket.highest_burst)
    return bucket._replace(highest_rate=rate, highest_burst=burst, highest_until=now + _HIGHEST_SECONDS)


def highest(bucket: Bucket) -> Allowance:
    """Return the host's allowance: the highest of its readers' allowances, or the default before the first reader."""
    if not bucket.highest_rate:
        return Allowance()
    return Allowance(bucket.highest_rate, int(bucket.highest_burst))


def lower(allowance: Allowance, bucket: Bucket) -> bool:
    """Return whether an allowance is lower than that of the bucket's other readers."""
    rate, burst = allowance.rate(bucket.sku), allowance.size(bucket.sku)
    return rate < bucket.highest_rate or int(burst) < int(bucket.highest_burst)


def requests_per_second(bucket: Bucket, allowance: Allowance) -> float:
    """Return the rate at this moment, throttling included."""
    return allowance.rate(bucket.sku) * bucket.factor


def pace(bucket: Bucket, allowance: Allowance) -> Pace:
    burst = max(1, int(allowance.size(bucket.sku) * bucket.factor + _ROUNDING))
    window = burst / requests_per_second(bucket, allowance)
    step = window / (burst * (1 - _SLACK))
    return Pace(burst, window, step, burst * _SLACK * step)


def advanced(bucket: Bucket, now: float) -> Bucket:
    """Return the bucket as of `now`, with the rate recovered by the steps that are due.

    A clock that was set back (a Redis server's can be) counts as one that stood still.
    """
    if now < bucket.now:
        bucket = _shifted(bucket, now - bucket.now)
    factor, stepped_at = bucket.factor, bucket.stepped_at
    while factor < 1.0 and now - stepped_at >= _STEP_SECONDS:
        factor, stepped_at = min(1.0, factor * _STEP), stepped_at + _STEP_SECONDS
    return bucket._replace(now=now, factor=factor, stepped_at=stepped_at)


def take(
    bucket: Bucket, allowance: Allowance, now: float, wanted: int, patience: float = 0.0
) -> tuple[Bucket, int, float]:
    """Take permits for up to `wanted` requests that may be sent within `patience` seconds.

    Returns the bucket, the number of permits, and the seconds until the first request may be sent. If that is 0, all of
    them may be sent at once; otherwise, each further one is due one step of the schedule (`pace`) after the one before.
    The steps are taken immediately, so waiting readers are served in order of arrival. If no request is allowed,
    returns 0 permits and the seconds until one would be allowed.
    """
    bucket = advanced(bucket, now)
    if bucket.not_before > now:
        return bucket, 0, bucket.not_before - now
    at = pace(bucket, allowance)
    began, due = _schedule(bucket, at, now)
    had = min(wanted, _at_once(at, began, due, now))
    if had > 0:
        return bucket._replace(began=began, next_at=due + had * at.step, last=max(bucket.last, now)), had, 0.0
    wait = max(0.0, due - now)
    if wait > patience:
        return bucket, 0, wait
    had = 1 + min(wanted - 1, int(min(patience - wait, GROUP_SECONDS) / at.step))
    last = max(bucket.last, now + wait + (had - 1) * at.step)
    return bucket._replace(began=began, next_at=due + had * at.step, last=last), had, wait


def give_back(bucket: Bucket, allowance: Allowance, now: float, unused: int, taken: Bucket) -> Bucket:
    """Return the bucket with unused permits given back; `taken` is the bucket just after they were taken.

    Permits whose steps are already due are lost: if given back, they would go out in addition to the requests that are
    due. (The slack is not counted, because other readers may hold permits too.) Also lost are permits for steps before
    those that others hold, and permits from before another burst or from before the clock was set back.
    """
    at = pace(bucket, allowance)
    at_once_until = bucket.began + at.window
    if (
        bucket.began != taken.began
        or taken.next_at - unused * at.step < now
        or bucket.next_at > max(taken.next_at, at_once_until) + at.step * _ROUNDING
    ):
        return bucket
    return bucket._replace(next_at=max(bucket.began, bucket.next_at - unused * at.step))


def delayed(bucket: Bucket, seconds: float) -> Bucket:
    """Return the bucket with permits used `seconds` seconds later than they were due."""
    return bucket._replace(
        began=bucket.began + seconds, next_at=bucket.next_at + seconds, last=bucket.last + seconds
    )


def affordable(bucket: Bucket, allowance: Allowance, now: float, seconds: float) -> int:
    """Return how many requests could be sent within `seconds` seconds if no other reader sent any."""
    end, now = now + seconds, max(now, bucket.not_before)
    if end < now:
        return 0
    at = pace(bucket, allowance)
    began, due = _schedule(bucket, at, now)
    evenly = math.floor((end - due) / at.step + _ROUNDING) + 1
    return max(0, _at_once(at, began, due, now), evenly)


def refuse(bucket: Bucket, now: float, retry_after: float | None) -> Bucket:
    """Record a 429 or 503: halve the rate, and allow no request for `retry_after` seconds."""
    bucket = advanced(bucket, now)
    pause = _PAUSE_SECONDS if retry_after is None else min(max(retry_after, 0.0), _LONGEST_PAUSE_SECONDS)
    factor = bucket.factor
    if now - bucket.refused_at >= _ONE_REFUSAL_SECONDS:
        factor = max(SMALLEST_FACTOR, factor / 2)
    not_before = max(bucket.not_before, now + pause)
    return bucket._replace(
        factor=factor,
        # Recovery begins when requests are allowed again.
        stepped_at=max(bucket.stepped_at, not_before),
        refused_at=now,
        not_before=not_before,
    )


def _schedule(bucket: Bucket, at: Pace, now: float) -> tuple[float, float]:
    """Return when the burst began, and the next step of the schedule."""
    if now - bucket.last >= _PAUSE_WINDOWS * at.window:
        return now, now
    return bucket.began, max(bucket.next_at, now - at.slack)


def _at_once(at: Pace, began: float, due: float, now: float) -> int:
    """Return how many requests may be sent at this moment."""
    late = math.floor((now - due) / at.step + _ROUNDING) + 1
    if now >= began + at.window:
        return late
    return max(late, math.floor(at.burst - (due - began) / at.step + _ROUNDING))


def _shifted(bucket: Bucket, seconds: float) -> Bucket:
    return bucket._replace(
        began=bucket.began + seconds,
        next_at=bucket.next_at + seconds,
        last=bucket.last + seconds,
        stepped_at=bucket.stepped_at + seconds,
        refused_at=bucket.refused_at + seconds,
        not_before=bucket.not_before + seconds,
        highest_until=bucket.highest_until + seconds,
    )
