"""The last reading of a namespace, for pages that look at it again and again without asking the bus each time.

It is the last scrape's, or one that such a page had made: what could not be read whole is kept by no scrape.
"""

import threading
from collections import OrderedDict
from dataclasses import replace

from ..configuration.targets import Target
from .scrape import Result, last_result, scrape

# Few people look at such pages at a time; a reading of 20,000 entities takes some 30 MB.
_KEPT = 8
_readings: OrderedDict[Target, Result] = OrderedDict()
_lock = threading.Lock()


def last(target: Target) -> Result | None:
    """Return the last reading with these settings; None when there is none."""
    with _lock:
        own = _readings.get(_key(target))
    scraped = last_result(target)
    if own is None or scraped is None:
        return own or scraped
    return max(own, scraped, key=lambda result: result.snapshot.began_at)


def read(target: Target) -> Result:
    """Read the namespace now and keep the result."""
    result = scrape(target, target.limits.timeout_seconds)
    with _lock:
        key = _key(target)
        _readings.pop(key, None)
        _readings[key] = result
        if len(_readings) > _KEPT:
            _readings.popitem(last=False)
    return result


def forget_one(target: Target) -> None:
    """Forget what was read of this namespace."""
    with _lock:
        _readings.pop(_key(target), None)


def forget() -> None:
    """Forget everything, as a process that has just begun."""
    with _lock:
        _readings.clear()


def _key(target: Target) -> Target:
    # Rules are what is tried out over one reading.
    return replace(target, rules=())
