"""How many management requests a second a namespace may be asked, and how it is slowed down when it asks for that.

At most `burst` requests in any window of `burst / requests_per_second` seconds: by default 30 in any second of a
Standard namespace. A plain token bucket would allow 60 in the second after a pause: 60 % of the namespace's credits.

After a pause a burst may go out at once. From the end of its window on, requests go out evenly. The state is a plain
value of constant size that all readers of a namespace share (threads, worker processes, replicas): the schedule of the
even requests, `next_at`, moves on by one step with each request, also during the burst. So the number of requests since
`began` and the moment up to which the schedule is used up are one number, and no list of requests is needed.

Why a window never holds more than `burst` requests: a step of the schedule is `window / (burst - slack)` long, and the
schedule never falls further behind the clock than `slack` steps (what it falls behind is lost). A window that begins
with one request therefore has room for at most `burst - slack` steps and the `slack` that may be caught up. A burst
only uses steps of its own window in advance.

Readers with different allowances share the schedule. It goes by the highest rate and the highest burst among them,
which the bucket remembers. A reader with a lower allowance has a bucket of its own besides (budget.py).

All times are seconds of one clock, that of the store that keeps the state. All functions are pure.
"""

import math
from typing import NamedTuple

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
SMALLEST_FACTOR = 1 / 64
# The part of a burst that a schedule may fall behind and catch up. It is what the even rate stays below the allowed
# one: without it, a reader that always wakes a little late would lose more.
_SLACK = 1 / 32
# A pause of so many windows ends the even schedule: the next burst may go out at once. One window would do for the
# requests as they are sent, but bursts that follow each other could meet at the service when one of them is delayed.
_PAUSE_WINDOWS = 2
# For so many seconds steps of the even schedule are taken ahead: as long may pass until a reader notices that another
# one was refused.
GROUP_SECONDS = 0.5
# After this long without a refusal the rate goes up by one step; from a half to the whole takes 10 s.
_STEP_SECONDS = 5.0
_STEP = 1.5
# For how long an allowance that nobody asks with any more still counts as the highest.
_HIGHEST_SECONDS = 300.0
# Of a request: differences of times are not exact.
_ROUNDING = 1e-6


class Allowance(NamedTuple):
    """What a namespace's settings allow; None: the default of its SKU."""

    requests_per_second: float | None = None
    burst: int | None = None

    def rate(self, sku: str) -> float:
        """Return requests a second."""
        if self.requests_per_second is not None:
            return self.requests_per_second
        return REQUESTS_PER_SECOND_BY_SKU[known_sku(sku) or _UNKNOWN_SKU]

    def size(self, sku: str) -> float:
        """Return how many requests may be sent at once after a pause."""
        return float(self.burst) if self.burst is not None else max(1.0, self.rate(sku))


class Bucket(NamedTuple):
    """The shared state of one namespace's budget."""

    now: float = 0.0  # when it was looked at last
    began: float = -math.inf  # when the first request after a pause was sent
    next_at: float = -math.inf  # when the even schedule has its next step
    last: float = -math.inf  # when the last request was, or will be, sent
    factor: float = 1.0  # of the rate and of the burst; below 1 while an episode of throttling lasts
    stepped_at: float = -math.inf  # when the factor changed last
    refused_at: float = -math.inf
    not_before: float = -math.inf
    # Of the allowances that readers have asked with; 0: nobody has.
    highest_rate: float = 0.0
    highest_burst: float = 0.0
    highest_until: float = -math.inf
    sku: str = ""

    @property
    def is_throttled(self) -> bool:
        return self.factor < 1.0


class Pace(NamedTuple):
    """What an allowance comes to at one moment, throttling included."""

    burst: int
    window: float  # seconds in which no more than `burst` requests are sent
    step: float  # seconds between two requests of the even schedule
    slack: float  # seconds that the even schedule may fall behind


def known_sku(sku: str) -> str:
    """Return the SKU in lower case; empty if the hub doesn't know it."""
    return sku.lower() if sku.lower() in REQUESTS_PER_SECOND_BY_SKU else ""


def with_reader(bucket: Bucket, allowance: Allowance, now: float) -> Bucket:
    """Return the bucket in which a reader's allowance counts among those of which the highest applies."""
    rate, burst = allowance.rate(bucket.sku), allowance.size(bucket.sku)
    # What was sent by the higher allowance must be over before the lower one counts alone.
    if now < bucket.highest_until or now - bucket.last < _PAUSE_WINDOWS * burst / rate:
        if rate < bucket.highest_rate and int(burst) < int(bucket.highest_burst):
            return bucket
        rate, burst = max(rate, bucket.highest_rate), max(burst, bucket.highest_burst)
    return bucket._replace(highest_rate=rate, highest_burst=burst, highest_until=now + _HIGHEST_SECONDS)


def highest(bucket: Bucket) -> Allowance:
    """Return what the host may be asked: the highest of what its readers may; the default before there was one."""
    if not bucket.highest_rate:
        return Allowance()
    return Allowance(bucket.highest_rate, int(bucket.highest_burst))


def lower(allowance: Allowance, bucket: Bucket) -> bool:
    """Tell whether an allowance is lower than that of the bucket's other readers."""
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
    """Return the bucket at this moment: throttling may be a step further over.

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
    """Take leave for up to `wanted` requests that may be sent within `patience` seconds.

    Returns the bucket, how many requests are allowed, and the seconds after which they may be sent: at once if that is
    0, else the first one then and each other one a step of the schedule (`pace`) after the one before. The steps are
    then taken, so that waiting readers are served in the order in which they came. If no request is allowed, returns 0
    and the seconds after which one would be.
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
    """Return leave that was taken and not used; `taken` is what the bucket was just after.

    Leave that the schedule has caught up with is lost: given back, it would go out beside what is due. (The slack is
    left out, for other readers may hold leave too.) So is leave before steps that others hold, and leave from before
    another burst, or a step of the clock.
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
    """Note that leave was used so many seconds later than it was taken for."""
    return bucket._replace(
        began=bucket.began + seconds, next_at=bucket.next_at + seconds, last=bucket.last + seconds
    )


def affordable(bucket: Bucket, allowance: Allowance, now: float, seconds: float) -> int:
    """Return how many requests could be sent within so many seconds if nobody else asked."""
    end, now = now + seconds, max(now, bucket.not_before)
    if end < now:
        return 0
    at = pace(bucket, allowance)
    began, due = _schedule(bucket, at, now)
    evenly = math.floor((end - due) / at.step + _ROUNDING) + 1
    return max(0, _at_once(at, began, due, now), evenly)


def refuse(bucket: Bucket, now: float, retry_after: float | None) -> Bucket:
    """Note a 429 or 503: the rate halves, and nothing is asked for as long as the service wants (`retry_after`, s)."""
    bucket = advanced(bucket, now)
    pause = _PAUSE_SECONDS if retry_after is None else min(max(retry_after, 0.0), _LONGEST_PAUSE_SECONDS)
    factor = bucket.factor
    if now - bucket.refused_at >= _ONE_REFUSAL_SECONDS:
        factor = max(SMALLEST_FACTOR, factor / 2)
    not_before = max(bucket.not_before, now + pause)
    return bucket._replace(
        factor=factor,
        # The way back begins when the service may be asked again.
        stepped_at=max(bucket.stepped_at, not_before),
        refused_at=now,
        not_before=not_before,
    )


def _schedule(bucket: Bucket, at: Pace, now: float) -> tuple[float, float]:
    """Return when the burst began, and the schedule's next step."""
    if now - bucket.last >= _PAUSE_WINDOWS * at.window:
        return now, now
    return bucket.began, max(bucket.next_at, now - at.slack)


def _at_once(at: Pace, began: float, due: float, now: float) -> int:
    """Return for how many requests there is leave at this moment."""
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
