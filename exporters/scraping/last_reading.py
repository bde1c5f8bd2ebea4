"""The last read of a namespace, for pages that show it repeatedly without a new read each time.

It is the last cached result of a scrape, or that of a read for such a page. Not every scrape caches its result: failed
ones, for example, usually don't.
"""

import threading
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..configuration.targets import Target
from .scrape import Result, last_result, scrape

# Few people use such pages at a time; the result for 20,000 entities takes about 30 MB.
_KEPT = 8
_readings: OrderedDict[Target, Result] = OrderedDict()
_lock = threading.Lock()


def last(target: Target) -> Result | None:
    """Return the last result with these settings, or None if there is none."""
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


def context(result: Result | None) -> dict[str, Any]:
    """Return for a template when a result was read, and what could not be read."""
    if result is None:
        return {"read_at": None, "failures": []}
    return {
        "read_at": datetime.fromtimestamp(result.snapshot.read_at, UTC),
        "failures": sorted({failure.message for failure in result.snapshot.failures}),
    }


def forget_one(target: Target) -> None:
    """Drop the result of this namespace."""
    with _lock:
        _readings.pop(_key(target), None)


def forget() -> None:
    """Drop everything, as in a new process."""
    with _lock:
        _readings.clear()


def _key(target: Target) -> Target:
    # Without the rules, because pages try different rules on one result.
    return replace(target, rules=())
