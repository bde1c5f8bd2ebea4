"""The service's texts -> values: times, durations, statuses, sizes."""

import re
from datetime import UTC, datetime
from functools import lru_cache

_DURATION = re.compile(
    r"(-)?P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z",
)
# .NET's TimeSpan.MaxValue is 10,675,199 days and some hours: the service's way to write "forever". Recorded with seven
# and with three digits behind the point, so the days decide.
_FOREVER_DAYS = 10_675_199
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def integer(text: str | None) -> int | None:
    """Return the number, of any size; None when there is none. Raises ValueError for anything else."""
    return int(text) if text else None


def boolean(text: str | None) -> bool | None:
    if not text:
        return None
    lowered = text.strip().lower()
    if lowered not in {"true", "false"}:
        raise ValueError("not a boolean")
    return lowered == "true"


def megabytes(text: str | None) -> int | None:
    """Return MaxSizeInMegabytes in bytes."""
    return int(text) * 1_048_576 if text else None


def timestamp(text: str | None) -> float | None:
    """Return Unix seconds; None for no text and for the year 0001, which means "never". A text without zone is UTC."""
    if not text or text.startswith("0001-"):
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@lru_cache(maxsize=1024)
def duration(text: str | None) -> float | None:
    """Return the seconds of an xsd:dayTimeDuration; None for no text and for "forever"."""
    if not text:
        return None
    found = _DURATION.match(text)
    if found is None or text[-1] in "PT":
        raise ValueError("not a duration")
    sign, days, hours, minutes, seconds = found.groups()
    if int(days or 0) >= _FOREVER_DAYS:
        return None
    total = int(days or 0) * 86_400 + int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)
    return -total if sign else total


@lru_cache(maxsize=128)
def status(text: str | None) -> str | None:
    """Return Active, SendDisabled, ... in Prometheus's spelling: active, send_disabled, ..."""
    return _CAMEL.sub("_", text).lower() if text else None
