"""Text functions of Go's regexp and strings packages, as Prometheus uses them. Python's differ slightly."""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache

# The number of a group, or literal text.
Piece = int | str


def parse_template(template: str, groups: Mapping[str, int]) -> tuple[Piece, ...]:
    """Return a template of Go's Regexp.Expand as pieces.

    `$name` takes the longest run of letters, digits and underscores, so `$1x` is the group named 1x; `${1}x` is group 1
    followed by x. `$$` is a dollar sign, and a `$` without a name after it is literal. A group that the pattern does
    not have is empty.
    """
    pieces: list[Piece] = []
    position = 0
    while True:
        dollar = template.find("$", position)
        if dollar < 0:
            pieces.append(template[position:])
            break
        pieces.append(template[position:dollar])
        position = dollar + 1
        if template.startswith("$", position):
            pieces.append("$")
            position += 1
            continue
        name, end = _name(template, position)
        if not name:
            pieces.append("$")
            continue
        position = end
        number = _number(name)
        if number is None:
            number = groups.get(name)
        if number is not None:
            pieces.append(number)
    return tuple(piece for piece in pieces if piece != "")


def _name(template: str, start: int) -> tuple[str, int]:
    """Return the name after a dollar sign and where it ends; an empty name if Go finds none."""
    brace = template.startswith("{", start)
    begin = end = start + brace
    while end < len(template) and _is_word(template[end]):
        end += 1
    if not brace:
        return template[begin:end], end
    if not template.startswith("}", end):
        return "", start
    return template[begin:end], end + 1


def _is_word(character: str) -> bool:
    category = unicodedata.category(character)
    return character == "_" or category == "Nd" or category[0] == "L"


def _number(name: str) -> int | None:
    if not (name.isascii() and name.isdigit()) or (name[0] == "0" and len(name) > 1):
        return None
    return int(name) if len(name) <= 9 else None  # Go treats more digits as a name


def to_lower(text: str) -> str:
    """Return Go's strings.ToLower, which maps letter by letter. Python has word-final forms and may add letters."""
    return text.lower() if text.isascii() else "".join(map(_lower, text))


def to_upper(text: str) -> str:
    """Return Go's strings.ToUpper: a letter without a single capital, such as ß, stays as it is."""
    return text.upper() if text.isascii() else "".join(map(_upper, text))


@lru_cache(maxsize=4096)
def _lower(character: str) -> str:
    # İ is the only letter that Python maps to two; its simple mapping in Unicode's table is i.
    lower = character.lower()
    return lower if len(lower) == 1 else "i"


@lru_cache(maxsize=4096)
def _upper(character: str) -> str:
    upper = character.upper()
    if len(upper) > 1:
        # Of these, Greek letters with a subscript iota have a single capital, which is also their title case.
        upper = character.title()
    return upper if len(upper) == 1 else character
