"""The layout of an entry: its literal tags, with any value between them.

The service's serializer writes similar entries: the same elements in the same order. The tags of one entry become a
regular expression that reads the next entry in a twentieth of ElementTree's time.

A layout reads everything that it matches correctly, even if it was learned from an attacker's entry. ElementTree has
read that entry, so its tags are balanced and their namespaces known. An entry that matches has the same tags; only
values differ, and none of them can contain XML syntax. ElementTree also determines which value is which: it reads the
entry with a number in place of each value.
"""

import re
from dataclasses import dataclass

from . import element_tree
from .entity_fields import Shape, Texts
from .errors import ServiceBusError
from .values import MAX_VALUE_CHARACTERS

# The limit for an entry and for its expression: enough for six authorization rules. Compiling more would take longer
# than 6 ms, and `re` keeps 512 expressions of up to 40 kB.
_MOST_CHARACTERS = 8000

# All repetitions are possessive: the engine never backtracks, so the time to match is proportional to the text.
_PIECE = re.compile(r'(</?+[\w:.-]++)((?: [\w:.-]++="[^<>"]*+")*+)( ?+/?+>)([^<>]*+)')
_ATTRIBUTE = re.compile(r'( ([\w:.-]++)=")[^<>"]*+"')
# Tabs and line feeds are the only control characters that stand for themselves in a text; in an attribute, none do.
# Longer values aren't read here, so that a layout fails within a bounded time.
_LENGTH = f"{{0,{MAX_VALUE_CHARACTERS}}}+"
# A class of ASCII characters takes two thirds of the time of a negated class. Values that the service itself generates
# hold only ASCII.
_VALUE = r"[\t\n -%'-;=?-\x7f]" + _LENGTH
_FREE_VALUE = r"[^<>\x00-\x08\x0b-\x1f]" + _LENGTH
_ATTRIBUTE_VALUE = r"[ !#-%'-;=?-\x7f]" + _LENGTH
# The escapes that the serializer writes in texts with arbitrary characters. The ampersand is last, because replacing it
# earlier would create the others.
_ESCAPED = {
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": '"',
    "&apos;": "'",
    "&#xD;": "\r",
    "&#xA;": "\n",
    "&amp;": "&",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Reads the entries of one layout."""

    pattern: re.Pattern[str]
    groups: tuple[int, ...]  # of the pattern, in the order of an entry's texts
    free: tuple[int, ...]  # which of the texts can hold any character

    def read(self, page: str, position: int) -> tuple[Texts, int] | None:
        """Return the entry that begins at `position`, and where it ends; None if it has another layout."""
        found = self.pattern.match(page, position)
        if found is None:
            return None
        texts: Texts = found.group(*self.groups)
        for place in self.free:
            text = texts[place] or ""
            if "&" in text:
                if text.count("&") != sum(map(text.count, _ESCAPED)):
                    return None
                for escaped, character in _ESCAPED.items():
                    text = text.replace(escaped, character)
                texts = (*texts[:place], text, *texts[place + 1 :])
        return texts, found.end()


def learn(entry: str, shape: Shape) -> Layout | None:
    """Return the layout of an entry that ElementTree can read; None if it has more than elements and values."""
    pieces = _pieces(entry) if len(entry) <= _MOST_CHARACTERS else None
    if pieces is None:
        return None
    marked = [
        piece.tag + (str(place) if piece.is_value else piece.text) for place, piece in enumerate(pieces)
    ]
    try:
        markers = element_tree.read_entry("".join(marked), shape)
    except ServiceBusError:
        return None
    if any(marker and not marker.isdecimal() for marker in markers):
        return None
    free = {markers[place] for place in shape.free}
    wanted = sorted({int(marker) for marker in markers if marker})
    pattern = []
    for place, piece in enumerate(pieces):
        pattern.append(piece.tag_pattern)
        if not piece.is_value:
            pattern.append(re.escape(piece.text))
        elif place in wanted:
            pattern.append(f"({_FREE_VALUE if str(place) in free else _VALUE})")
        else:
            pattern.append(_like(piece.text, _VALUE))
    # After the wanted values: a group that is empty, and one that is None.
    expression = "".join(pattern) + "()((?!))?"
    if len(expression) > _MOST_CHARACTERS:
        return None
    empty, none = len(wanted) + 1, len(wanted) + 2
    groups = [
        none if marker is None else wanted.index(int(marker)) + 1 if marker else empty for marker in markers
    ]
    return Layout(
        re.compile(expression), tuple(groups), tuple(place for place in shape.free if markers[place])
    )


@dataclass(slots=True)
class _Piece:
    """A tag and the text behind it."""

    tag: str
    tag_pattern: str
    text: str
    is_value: bool  # the text is its element's whole content


def _pieces(entry: str) -> list[_Piece] | None:
    found = []
    position = 0
    while position < len(entry):
        piece = _PIECE.match(entry, position)
        if piece is None:
            return None
        name, attributes, close, text = piece.groups()
        position = piece.end()
        is_start = not name.startswith("</") and not close.endswith("/>")
        is_value = is_start and entry.startswith("</", position)
        if not is_value and text.strip():
            return None
        pattern = re.escape(name) + _pattern_of_attributes(attributes) + re.escape(close)
        found.append(_Piece(name + attributes + close, pattern, text, is_value))
    return found


def _pattern_of_attributes(attributes: str) -> str:
    """Return a pattern for the same attributes with any values; namespace declarations must be equal."""
    return "".join(
        re.escape(found[0])
        if found[2] == "xmlns" or found[2].startswith("xmlns:")
        else re.escape(found[1]) + _like(found[0], _ATTRIBUTE_VALUE) + '"'
        for found in _ATTRIBUTE.finditer(attributes)
    )


def _like(text: str, value: str) -> str:
    """Return a pattern for any value; it allows ampersands, which addresses have, if the text has one."""
    return f"{value}(?:&amp;{value}){_LENGTH}" if "&" in text else value
