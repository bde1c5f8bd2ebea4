"""How many management requests a second a namespace may be asked, and how it is slowed down when it asks for that.

At most `burst` requests in any `burst / requests_per_second` seconds: by default 30 in any second of a Standard
namespace. Not a bucket that fills up during a pause, which would allow 60 in the second after one: 60 % of the
namespace's credits. They may go out at once after a pause, and evenly when a read goes on for longer. The state is a
plain value that every reader of the namespace shares (threads, worker processes, replicas), so its times are Unix
seconds. All functions on it are pure.
"""

from dataclasses import dataclass, replace

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
# How far a read that comes late to its turn may catch up: else a busy machine would keep it below its rate.
_CATCH_UP_SECONDS = 0.2
# After so many times the time in which a burst counts, the next one may go out at once.
_PAUSE_WINDOWS = 2
# Requests this close together are remembered as one entry.
_ONE_MOMENT_SECONDS = 0.01
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

    # When requests were allowed, and how many, as far as that still counts.
    used: tuple[tuple[float, int], ...] = ()
    began: float = 0.0  # when the first request after a pause was
    last: float = 0.0  # when the last one was
    next_at: float = 0.0  # when the next one is due, once requests are spread evenly
    sku: str = ""
    factor: float = 1.0  # of the rate and of the burst; below 1 while an episode of throttling lasts
    stepped_at: float = 0.0  # when the factor changed last
    refused_at: float = 0.0
    not_before: float = 0.0

    @property
    def is_throttled(self) -> bool:
        return self.factor < 1.0


def requests_per_second(bucket: Bucket, allowance: Allowance) -> float:
    """Return the rate at this moment, throttling included."""
    return allowance.rate(bucket.sku) * bucket.factor


def available(bucket: Bucket, allowance: Allowance, now: float) -> int:
    """Return how many requests may be sent at once."""
    since = now - _window_seconds(bucket, allowance)
    return max(0, int(_burst(bucket, allowance)) - sum(count for at, count in bucket.used if at > since))


def coming(bucket: Bucket, allowance: Allowance, now: float, seconds: float) -> float:
    """Return for how many more requests there will be leave within so many seconds."""
    window = _window_seconds(bucket, allowance)
    if seconds >= window:
        return seconds * requests_per_second(bucket, allowance)
    return float(sum(count for at, count in bucket.used if now < at + window <= now + seconds))


def advanced(bucket: Bucket, allowance: Allowance, now: float) -> Bucket:
    """Return the bucket at this moment: what counts no more is forgotten, and throttling is a step further over."""
    factor, stepped_at = bucket.factor, bucket.stepped_at
    while factor < 1.0 and now - stepped_at >= _STEP_SECONDS:
        factor, stepped_at = min(1.0, factor * _STEP), stepped_at + _STEP_SECONDS
    bucket = replace(bucket, factor=factor, stepped_at=stepped_at)
    since = now - _window_seconds(bucket, allowance)
    return replace(bucket, used=tuple(pair for pair in bucket.used if pair[0] > since))


def take(bucket: Bucket, allowance: Allowance, now: float, wanted: int) -> tuple[Bucket, int, float]:
    """Take leave for up to `wanted` requests.

    Returns the bucket, how many were had, and the seconds until there is leave for one if there was none.
    """
    bucket = advanced(bucket, allowance, now)
    pause = bucket.not_before - now
    if pause > 0:
        return bucket, 0, pause
    used, window = bucket.used, _window_seconds(bucket, allowance)
    had = min(wanted, available(bucket, allowance, now))
    if not had:
        return bucket, 0, max(0.001, min(at for at, _ in used) + window - now)
    since = now - bucket.last
    if since >= _PAUSE_WINDOWS * window:
        bucket = replace(bucket, began=now, next_at=now + window)
    elif now >= bucket.began + window:
        # Evenly from here on: bursts that follow each other would meet in one second where one of them is late.
        rate = requests_per_second(bucket, allowance)
        due = max(bucket.next_at, now - _CATCH_UP_SECONDS)
        if due > now:
            return bucket, 0, max(0.001, due - now)
        had = min(had, 1 + int((now - due) * rate))
        bucket = replace(bucket, next_at=due + had / rate)
    if used and 0 <= now - used[-1][0] < _ONE_MOMENT_SECONDS:
        used = (*used[:-1], (now, used[-1][1] + had))
    else:
        used = (*used, (now, had))
    return replace(bucket, used=used, last=max(now, bucket.last)), had, 0.0


def give_back(bucket: Bucket, unused: int) -> Bucket:
    """Return leave that was taken and not used."""
    used = list(bucket.used)
    while unused and used:
        at, count = used.pop()
        if count > unused:
            used.append((at, count - unused))
        unused -= min(unused, count)
    return replace(bucket, used=tuple(used))


def refuse(bucket: Bucket, allowance: Allowance, now: float, retry_after: float | None) -> Bucket:
    """Note a 429 or 503: the rate halves, and nothing is asked for as long as the service wants (`retry_after`, s)."""
    bucket = advanced(bucket, allowance, now)
    pause = _PAUSE_SECONDS if retry_after is None else min(max(retry_after, 0.0), _LONGEST_PAUSE_SECONDS)
    factor, stepped_at = bucket.factor, bucket.stepped_at
    if now - bucket.refused_at >= _ONE_REFUSAL_SECONDS:
        factor = max(_SMALLEST_FACTOR, factor / 2)
    not_before = max(bucket.not_before, now + pause)
    # The way back begins when the service may be asked again.
    stepped_at = max(stepped_at, not_before)
    return replace(
        bucket,
        factor=factor,
        stepped_at=stepped_at,
        refused_at=now,
        not_before=not_before,
    )


def _burst(bucket: Bucket, allowance: Allowance) -> float:
    return max(1.0, allowance.size(bucket.sku) * bucket.factor)


def _window_seconds(bucket: Bucket, allowance: Allowance) -> float:
    """Return for how long a request counts."""
    return _burst(bucket, allowance) / requests_per_second(bucket, allowance)
