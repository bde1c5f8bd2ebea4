"""Whole numbers in URLs and forms."""

from typing import Any

# Every number with at most this many digits fits a database key.
_MOST_DIGITS = 18


def whole_number(text: Any) -> int | None:
    """Return the text as a number, or None unless it is 1 to 18 ASCII digits.

    `str.isdigit` also accepts ² and Arabic digits, and `int` accepts 1_000; the hub's pages send neither.
    """
    word = str(text)
    return int(word) if word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS else None
