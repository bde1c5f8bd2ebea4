"""The Retry-After header (RFC 9110, section 10.2.3)."""

import time
from email.utils import mktime_tz, parsedate_tz

# A day. The budget itself waits for a minute at most.
MAX_RETRY_AFTER_SECONDS = 86_400
# The longest form of a date has 33 characters ("Wednesday, 06-Nov-94 08:49:37 GMT").
_LONGEST_DATE = 64


def retry_after_seconds(text: str | None) -> float | None:
    """Return Retry-After in seconds from now, between 0 and MAX_RETRY_AFTER_SECONDS; None if it can't be read.

    It is a number of seconds or a date in one of the three forms of RFC 9110, section 5.6.7. A date without a time zone
    is UTC.
    """
    text = (text or "").strip(" \t")
    if not text.isascii():
        return None
    if text.isdigit():
        return min(float(text), float(MAX_RETRY_AFTER_SECONDS))
    if len(text) > _LONGEST_DATE:
        return None
    try:
        parts = parsedate_tz(text)
        if parts is None:
            return None
        seconds = mktime_tz(parts) - time.time()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None  # impossible fields: month 0, an hour of 30 digits
    return min(max(0.0, seconds), float(MAX_RETRY_AFTER_SECONDS))
