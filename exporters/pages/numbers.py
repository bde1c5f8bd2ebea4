"""Whole numbers as addresses and forms have them."""

from typing import Any

# What a database's key can hold.
_MOST_DIGITS = 18


def whole_number(text: Any, digits: int = _MOST_DIGITS) -> int | None:
    """Return the number that the text is, None unless it is 1 to `digits` ASCII digits.

    `str.isdigit` takes ² and Arabic digits too, and `int` takes 1_000: neither is what the hub's own pages send.
    """
    word = str(text)
    return int(word) if word.isascii() and word.isdigit() and len(word) <= digits else None
