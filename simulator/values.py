"""Single values in the service's notation."""

import datetime as dt
from xml.sax.saxutils import escape

from .entities import FOREVER, Duration, Moment


def optional(element: str, value: object) -> str:
    """Return the element, or an empty text if there is no value."""
    return "" if value is None else f"<{element}>{escape(str(value))}</{element}>"


def boolean(value: bool) -> str:
    return "true" if value else "false"


def duration(value: Duration) -> str:
    """Return an ISO 8601 duration; numbers are seconds."""
    if value is None:
        return FOREVER
    if isinstance(value, str):
        return value
    seconds = value.total_seconds() if isinstance(value, dt.timedelta) else value
    return f"PT{seconds:f}".rstrip("0").rstrip(".") + "S"


def moment(value: Moment) -> str:
    """Return a time in UTC, with as many decimals of the second as it needs."""
    if value is None:
        return "0001-01-01T00:00:00Z"
    if isinstance(value, str):
        return value
    text = value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{value.microsecond:06d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def second(value: Moment) -> str:
    """Return a time in UTC in whole seconds, as in Atom's own elements."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment(value)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
