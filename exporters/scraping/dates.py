"""Dates that several hubs write into one database, each using its own clock."""

from datetime import UTC, datetime, timedelta

_CLOCKS_AGREE_WITHIN = timedelta(minutes=1)


def latest_possible() -> datetime:
    """Return the latest date that any hub can have written by now.

    A later date was written before a clock was set back. It must not make new records look old.
    """
    return datetime.now(UTC) + _CLOCKS_AGREE_WITHIN


def seconds_ago(seconds: float) -> datetime:
    """Return the date `seconds` ago."""
    return datetime.now(UTC) - timedelta(seconds=seconds)
