"""Convert the service's texts to values. Each function raises ValueError for a text that the service can't write.

Only texts that .NET's XML serializer writes are accepted, which is less than Python's own functions accept: int() also
takes `1_000`, `+7`, spaces and Arabic digits, and datetime.fromisoformat() takes week dates.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

# The service allows 260 characters in a name and 1,024 in UserMetadata. Addresses begin with the host's name.
MAX_NAME_CHARACTERS = 512
MAX_VALUE_CHARACTERS = 4096

MAX_DIGITS = 19
_LARGEST = 2**63 - 1  # .NET's long, with MAX_DIGITS digits

_INTEGER = re.compile(f"[0-9]{{1,{MAX_DIGITS}}}")
_NEGATIVE = re.compile(f"-[0-9]{{1,{MAX_DIGITS}}}")
_DURATION = re.compile(
    r"P(?!\Z)(?:([0-9]{1,8})D)?"
    r"(?:T(?!\Z)(?:([0-9]{1,10})H)?(?:([0-9]{1,10})M)?(?:([0-9]{1,10}(?:\.[0-9]{1,9})?)S)?)?"
)
# .NET's TimeSpan.MaxValue is 10,675,199 days and some hours: the service's way to write "forever". It was recorded with
# seven and with three decimals, so only the days count.
_FOREVER_DAYS = 10_675_199
# Written out, because the engine takes twice the time for a counted repetition.
_TWO = "[0-9][0-9]"
_is_timestamp = re.compile(
    rf"{_TWO}{_TWO}-{_TWO}-{_TWO}T{_TWO}:{_TWO}:{_TWO}(?:\.[0-9]{{1,9}}+)?+(?:Z|[+-]{_TWO}:{_TWO})?+"
).fullmatch
_NEVER = "0001-01-01T00:00:00Z"  # as the service writes it
_BOOLEANS = {"true": True, "false": False, "True": True, "False": False, "1": True, "0": False}
_WORD = re.compile(r"[A-Za-z]{1,64}")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@lru_cache(maxsize=4096)
def integer(text: str | None) -> int | None:
    """Return the number, from 0 to 2^63 - 1; None for no text."""
    if not text:
        return None
    if not _INTEGER.fullmatch(text) or (number := int(text)) > _LARGEST:
        raise ValueError("not a number in the service's range")
    return number


def subscription_count(text: str | None) -> int | None:
    """Return the number; None if it is negative, which the service's own count of subscriptions can be."""
    return None if text and _NEGATIVE.fullmatch(text) else integer(text)


def boolean(text: str | None) -> bool | None:
    if not text:
        return None
    if text not in _BOOLEANS:
        raise ValueError("not a boolean")
    return _BOOLEANS[text]


@lru_cache(maxsize=128)
def megabytes(text: str | None) -> int | None:
    """Return MaxSizeInMegabytes in bytes."""
    number = integer(text)
    if number is None:
        return None
    if number > _LARGEST >> 20:
        raise ValueError("not a size in the service's range")
    return number << 20


def timestamp(text: str | None) -> float | None:
    """Return Unix seconds; None for no text and for the year 0001 ("never"). A text without a time zone is UTC."""
    if not text or text == _NEVER:
        return None
    if not _is_timestamp(text):
        raise ValueError("not a time")
    if text.startswith("0001-"):
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@lru_cache(maxsize=1024)
def duration(text: str | None) -> float | None:
    """Return the seconds of a positive xsd:dayTimeDuration; None for no text and for "forever"."""
    if not text:
        return None
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("not a duration")
    days, hours, minutes, seconds = found.groups(default="0")
    if int(days) >= _FOREVER_DAYS:
        return None
    return int(days) * 86_400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)


@lru_cache(maxsize=128)
def status(text: str | None) -> str | None:
    """Return Active, SendDisabled, ... in Prometheus's spelling: active, send_disabled, ..."""
    word_ = word(text)
    return _CAMEL.sub("_", word_).lower() if word_ else None


def word(text: str | None) -> str | None:
    """Return a name from one of the service's enumerations."""
    if not text:
        return None
    if not _WORD.fullmatch(text):
        raise ValueError("not a word")
    return text


def text(value: str | None) -> str | None:
    """Return the text that a user entered; None if it is empty."""
    if value and len(value) > MAX_VALUE_CHARACTERS:
        raise ValueError("longer than the service allows")
    return value or None


def name(value: str | None) -> str:
    """Return an entity's name, which is never empty."""
    if (
        not value
        or len(value) > MAX_NAME_CHARACTERS
        or not (value.isprintable() or not _CONTROL.search(value))
    ):
        raise ValueError("not a name")
    return value
