"""Dates that several hubs write into one database, each by its own clock."""

from datetime import UTC, datetime, timedelta

_CLOCKS_AGREE_WITHIN = timedelta(minutes=1)


def latest_possible() -> datetime:
    """Return the latest date that a hub can have written by now.

    A later one was written before a clock was set back. It must not keep what is written now from being newer.
    """
    return datetime.now(UTC) + _CLOCKS_AGREE_WITHIN


def seconds_ago(seconds: float) -> datetime:
    """Return the date of a moment that is known by how long ago it was."""
    return datetime.now(UTC) - timedelta(seconds=seconds)
