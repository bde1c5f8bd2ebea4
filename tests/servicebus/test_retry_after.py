"""Retry-After in every form that RFC 9110 allows, and in invalid forms."""

import time
from email.utils import format_datetime

import pytest
from django.utils.http import parse_http_date
from hypothesis import given
from hypothesis import strategies as st

from exporters.servicebus.retry_after import MAX_RETRY_AFTER_SECONDS, retry_after_seconds

# RFC 9110, section 5.6.7: IMF-fixdate, RFC 850, asctime.
FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("7", 7),
        (" 7\t", 7),
        ("0" * 5000 + "9", 9),
        ("9" * 309, MAX_RETRY_AFTER_SECONDS),
        ("9" * 5000, MAX_RETRY_AFTER_SECONDS),
        ("Fri Aug 21 12:38:13 2020", 0),
        ("Wed, 21 Oct 2020 07:28:00 -0000", 0),
        ("Wed, 21 Oct 9020 07:28:00 -0000", MAX_RETRY_AFTER_SECONDS),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("²", None),
        ("soon", None),
        ("Wed, 21 Oct", None),
        ("a" * 8000, None),
    ],
)
def test_what_is_no_time_is_none_and_what_is_too_long_is_a_day(
    text: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(text) == seconds


@pytest.mark.parametrize("form", FORMS)
@given(moment=st.integers(min_value=0, max_value=2**32))
def test_each_form_of_a_date_is_read_as_django_reads_it(form: str, moment: int) -> None:
    if "%y" in form:  # a two-digit year is unambiguous only near the present
        moment = int(time.time()) + moment % (10 * 365 * 86_400)
    text = time.strftime(form, time.gmtime(moment))
    expected = min(max(0.0, parse_http_date(text) - time.time()), MAX_RETRY_AFTER_SECONDS)
    assert retry_after_seconds(text) == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000", "+0200", "-0500", ""])
def test_a_zone_counts_and_without_one_it_is_utc(zone: str) -> None:
    hours = int(zone[:3]) if zone[:1] in {"+", "-"} else 0
    text = time.strftime("%a, %d %b %Y %H:%M:%S ", time.gmtime(time.time() + 600 + 3600 * hours)) + zone
    assert retry_after_seconds(text) == pytest.approx(600, abs=2)


def _mutated(parts: tuple[str, int, str]) -> str:
    text, place, piece = parts
    return text[:place] + piece + text[place + len(piece) :]


_DATES = st.datetimes().map(format_datetime) | st.integers(0, 2**31).map(time.ctime)


@given(
    st.text(max_size=80)
    | st.text("0123456789:-+, ADFGJMNOSTWaceghilnoprtuvy", max_size=40)
    | st.tuples(_DATES, st.integers(0, 30), st.text(max_size=5)).map(_mutated)
)
def test_whatever_stands_there_gives_a_bounded_number_or_none(text: str) -> None:
    seconds = retry_after_seconds(text)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS
