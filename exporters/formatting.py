"""Times and numbers as text for pages: relative to now, with the exact time on hover."""

from datetime import UTC, datetime

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

# Each unit is used up to its limit: 89 s, 89 min, 47 h, 59 days, 23 months.
_UNITS = ((90, 1, "s"), (90 * 60, 60, "min"), (48 * 3600, 3600, "h"), (60 * 86400, 86400, "days"))
_MONTH_SECONDS = 30.44 * 86400


def words(seconds: float) -> str:
    """Return a duration in one unit: 12 s, 5 min, 3 h, 9 days, 4 months, 2 years."""
    for limit, unit, name in _UNITS:
        if seconds < limit:
            return f"{int(seconds / unit)} {name}"
    months = round(seconds / _MONTH_SECONDS)  # a minute less than a year must not become 11 months
    return f"{months} months" if months < 24 else f"{months // 12} years"


def relative(moment: datetime, now: datetime | None = None) -> str:
    """Return a relative time: 12 s ago, in 5 days."""
    seconds = ((now or timezone.now()) - moment).total_seconds()
    if -1 < seconds < 1:
        return "now"
    return f"{words(seconds)} ago" if seconds > 0 else f"in {words(-seconds)}"


def time_tag(moment: datetime | None, now: datetime | None = None, missing: str = "never") -> SafeString:
    """Return a <time> element: relative text, with the exact time in UTC on hover and for machines."""
    if moment is None:
        return format_html('<span class="quiet">{}</span>', missing)
    return _tag(moment, relative(moment, now))


def lasting_tag(since: datetime, now: datetime | None = None) -> SafeString:
    """Return a <time> element: the time elapsed since `since` (5 min), with the exact start on hover."""
    seconds = ((now or timezone.now()) - since).total_seconds()
    return _tag(since, words(max(0.0, seconds)))


def _tag(moment: datetime, text: str) -> SafeString:
    exact = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        exact.isoformat(timespec="seconds"),
        f"{exact:%Y-%m-%d %H:%M:%S} UTC",
        text,
    )


def seconds_text(seconds: float | None) -> str:
    """Return a duration with a suitable unit and precision: 45 ms, 0.34 s, 9.5 s, 300 s."""
    if seconds is None:
        return "-"
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"


def thousands(number: float | None) -> str:
    """Return an integer with commas between groups of three digits: 1,234,567."""
    return "-" if number is None else f"{int(number):,}"
