"""Texts of a page -> values: what .NET writes, and nothing that only Python would read."""

import contextlib
import datetime as dt
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.servicebus import values

NOT_NUMBERS = [
    *("1_000", "+7", "-1", "-0", " 5", "5 ", "5\n", "٣٤", "²", "5.0", "1e3", "0x10", "many", "NaN", "1,000"),
    *("9" * 20, "9" * 309, "9" * 400, "9" * 5000, str(2**63)),
]


@pytest.mark.parametrize("text", NOT_NUMBERS)
@pytest.mark.parametrize("convert", [values.integer, values.megabytes])
def test_what_is_no_number_of_the_service_is_refused(
    text: str, convert: Callable[[str | None], int | None]
) -> None:
    with pytest.raises(ValueError, match="not a"):
        convert(text)


@given(st.integers(0, 2**63 - 1))
def test_every_number_of_64_bits_is_read(number: int) -> None:
    assert values.integer(str(number)) == number


def test_a_size_above_64_bits_is_refused() -> None:
    assert values.megabytes("81920") == 80 * 2**30
    assert values.megabytes(str(2**43 - 1)) == (2**43 - 1) * 2**20
    with pytest.raises(ValueError, match="size"):
        values.megabytes(str(2**43))


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("17", 17), ("-1", None), ("-9223372036854775808", None)]
)
def test_a_negative_count_of_subscriptions_is_unknown(text: str, count: int | None) -> None:
    assert values.subscription_count(text) == count


@pytest.mark.parametrize("text", ["--1", "-", "-x", "- 1", "-" + "9" * 20, "-٣", "1_0"])
def test_a_count_of_subscriptions_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        values.subscription_count(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT13S", 13),
        ("PT0S", 0),
        ("P14D", 14 * 86_400),
        ("P1DT2H3M4.5S", 86_400 + 2 * 3600 + 3 * 60 + 4.5),
        ("PT1.1234567S", 1.1234567),
        ("P10675199DT2H48M5.4775807S", None),
        ("P10675199DT2H48M5.477S", None),
    ],
)
def test_a_duration(text: str, seconds: float | None) -> None:
    assert values.duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *(
            "P",
            "PT",
            "P1DT",
            "1 minute",
            "P1Y",
            "P1M",
            "-PT1S",
            "PT1,5S",
            "PT.5S",
            "PT1.S",
            "PT1S ",
            "P٣D",
            "PT1S\n",
        ),
        *("P" + "9" * 400 + "D", "PT" + "9" * 5000 + "S", "PT0." + "1" * 5000 + "S", "P1DT1D", "T1S", "pt1s"),
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        values.duration(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2026-W48-5T00:00:00Z",
            "20261127T120000Z",
            "2026-11-27",
            "2026-11-27 12:00:00Z",
            "2026-11-27T12:00Z",
        ),
        *("2026-11-27T12:00:00,5Z", "2026-11-27T12:00:00.Z", "2026-11-27T24:00:00Z", "2026-11-27T12:00:60Z"),
        *(
            "2026-13-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "0001-garbage",
            "2026-11-27T12:00:00z",
            "yesterday",
        ),
        *(
            "2026-11-27T12:00:00+0100",
            "2026-11-27T12:00:00Z\n",
            "٢٠٢٦-11-27T12:00:00Z",
            "2026-11-27T12:00:00+99:00",
        ),
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        values.timestamp(text)


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_every_time_is_read(moment: dt.datetime, minutes: int) -> None:
    moment = moment.replace(year=max(2, min(moment.year, 9998)), day=min(28, moment.day))
    there = moment.replace(tzinfo=dt.timezone(dt.timedelta(minutes=minutes)))
    assert values.timestamp(there.isoformat()) == there.timestamp()
    assert values.timestamp(moment.isoformat()) == moment.replace(tzinfo=dt.UTC).timestamp()
    assert values.timestamp(moment.isoformat() + "Z") == moment.replace(tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize("text", ["perhaps", "tRue", " true", "yes", "2"])
def test_what_is_no_boolean_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="boolean"):
        values.boolean(text)


@pytest.mark.parametrize("text", ["Active now", "Active\n", "a" * 65, "Aktív", "<b>", '"'])
def test_what_is_no_status_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="word"):
        values.status(text)


@pytest.mark.parametrize(
    "name", ["orders", "txt/.-_123", "a" * 260, "a" * 512, "zürich", "😀", 'a"\\b', "$", "a b"]
)
def test_a_name_is_taken_as_it_is(name: str) -> None:
    assert values.name(name) == name


@pytest.mark.parametrize(
    "name", [None, "", "a" * 513, "a\nb", "\r", "\t", "a\x7f", "a\x85", "a\u2028", "a\x1fb"]
)
def test_a_name_that_is_empty_too_long_or_has_control_characters_is_refused(name: str | None) -> None:
    with pytest.raises(ValueError, match="not a name"):
        values.name(name)


def test_what_a_user_entered_has_a_bound() -> None:
    assert values.text("a" * 4096) == "a" * 4096
    assert values.text("") is None
    with pytest.raises(ValueError, match="longer"):
        values.text("a" * 4097)


CONVERTERS = [
    values.integer,
    values.subscription_count,
    values.megabytes,
    values.boolean,
    values.timestamp,
    values.duration,
    values.status,
    values.word,
    values.text,
]
_ALMOST = st.from_regex(
    re.compile(
        r"-?[0-9]{0,25}|P-?([0-9]+D)?(T([0-9]+H)?([0-9.,]+S)?)?|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.,+-]{8,20}Z?"
    ),
    fullmatch=True,
)


@pytest.mark.parametrize("convert", CONVERTERS)
@given(text=st.one_of(st.text(), _ALMOST))
def test_any_text_is_a_value_or_refused_by_a_value_error(convert: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(ValueError):
        convert(text)
