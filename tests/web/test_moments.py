"""Times and amounts as the pages show them."""

from datetime import UTC, datetime, timedelta

import pytest

from exporters import formatting

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (12, "12 s ago"),
        (89, "89 s ago"),
        (90, "1 min ago"),
        (3600, "60 min ago"),
        (3 * 3600, "3 h ago"),
        (9 * 86400, "9 days ago"),
        (60 * 86400, "2 months ago"),
        (120 * 86400, "4 months ago"),
        (365 * 86400 - 60, "12 months ago"),
        (900 * 86400, "2 years ago"),
        (-300, "in 5 min"),
    ],
)
def test_a_moment_is_said_relative_to_now(seconds: float, said: str) -> None:
    assert formatting.relative(NOW - timedelta(seconds=seconds), NOW) == said


def test_the_exact_moment_is_shown_on_hover() -> None:
    html = formatting.time_tag(NOW - timedelta(seconds=12), NOW)
    expected = '<time datetime="2026-03-01T11:59:48+00:00" title="2026-03-01 11:59:48 UTC">12 s ago</time>'
    assert html == expected


def test_how_long_something_lasts_is_said_with_its_beginning_on_hover() -> None:
    html = formatting.lasting_tag(NOW - timedelta(minutes=5), NOW)
    assert html == '<time datetime="2026-03-01T11:55:00+00:00" title="2026-03-01 11:55:00 UTC">5 min</time>'


def test_no_moment_is_said_in_a_word() -> None:
    assert ">never<" in formatting.time_tag(None)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.045, "45 ms"), (0.34, "0.34 s"), (9.5, "9.5 s"), (300, "300 s"), (1234, "1234 s"), (None, "-")],
)
def test_durations_are_short(value: float | None, said: str) -> None:
    assert formatting.seconds_text(value) == said


def test_large_numbers_have_commas() -> None:
    assert formatting.thousands(1234567) == "1,234,567"
