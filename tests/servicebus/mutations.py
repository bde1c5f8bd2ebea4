"""Pages that no service should send, made from those that Service Bus sends."""

import random
import re
from collections.abc import Sequence

# Mutations insert these between the characters of a page or in place of a value.
SNIPPETS = [
    *("", "0", "-1", "+7", "1_000", " 5", "5 ", "٣٤", "²", "1e3", "0x10", "9" * 19, "9" * 309, "9" * 5000),
    *(
        "9223372036854775807",
        "9223372036854775808",
        "007",
        "true",
        "True",
        "tRue",
        "1",
        "P1D",
        "PT",
        "P",
        "-P1D",
    ),
    *(
        "P1Y",
        "PT1.5S",
        "PT1,5S",
        "P10675199DT2H48M5.4775807S",
        "2026-W01-1T00:00:00Z",
        "2026-11-27",
        "20261127",
    ),
    *(
        "2026-11-27T12:00:00",
        "2026-11-27T12:00:00,5Z",
        "2026-11-27T24:00:00Z",
        "9999-12-31T23:59:59.9999999-14:00",
    ),
    *("0001-01-01T00:00:00Z", "0001-99-99T00:00:00Z", "Active", "active now", "Publicly Listed Services"),
    *(
        "&amp;",
        "&lt;",
        "&#10;",
        "&#xD;",
        "&#x1;",
        "&#xD800;",
        "&#x110000;",
        "&#xFFFE;",
        "&#" + "1" * 5000 + ";",
    ),
    *(
        "&bogus;",
        "& b",
        "&",
        "&amp",
        "&amp;amp;",
        "<",
        ">",
        "]]>",
        "]]",
        '"',
        "'",
        "=",
        "/",
        "<>",
        "</>",
        "< a/>",
    ),
    *(
        "\0",
        "\1",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\x0c",
        "\x7f",
        "\x85",
        "\ufeff",
        "\ufffe",
        "\uffff",
        "\u2028",
        "\ud7ff",
    ),
    *(
        "é",
        "中",
        "😀",
        "<!-- -->",
        "<!-- <entry> -->",
        "<![CDATA[5]]>",
        "<?php ?>",
        "<!DOCTYPE f>",
        "<!ENTITY a 'b'>",
    ),
    *(
        "<entry>",
        "</entry>",
        "<entry",
        "</feed>",
        "<feed>",
        "<title>x</title>",
        "<title/>",
        "</title>",
        "<a:b>",
    ),
    *(
        "<Status >Active</Status >",
        "<Status\n>Active</Status>",
        "<Status/>",
        "<Status></Status>",
        "<Status><b/></Status>",
    ),
    *(
        "<MessageCount>5</MessageCountX>",
        "<MessageCount>5</MessageCount>",
        "<MessageCount>5<x/>6</MessageCount>",
    ),
    *(
        '<x xmlns="other"><Status>Active</Status></x>',
        '<Status xmlns="other">Disabled</Status>',
        "<x><Status>a</Status></x>",
    ),
    *(
        '<link rel="next" href="?$skip=100"/>',
        '<link rel="next"/>',
        "<link rel='next' href='http://[?$skip=1'/>",
    ),
    *(
        '<link href="?$skip=' + "9" * 5000 + '" rel="next"/>',
        "<link " + "a" * 5000 + ' rel="self"/>',
        "<a:entry/>",
    ),
    *(
        ' xmlns="other"',
        ' xmlns:d2p1="other"',
        ' xmlns=""',
        ' rel="next"',
        ' a="1" a="2"',
        ' a="<"',
        ' a="&lt;>"',
    ),
    *(" xml:space='preserve'", ' i:nil="true"', ' d2p1:a=""', "a" * 600, "b" * 5000, "<b>" * 300),
]

_PLACES = re.compile(r"<[^<>]*>|[^<>]+")
_VALUE = re.compile(r"(?<=>)[^<>]+(?=</)")
_NAME = re.compile(r"(?<=[</ ])[A-Za-z:][\w:]*")


def mutated(source: random.Random, pages: Sequence[bytes]) -> bytes:
    """Return one of the pages with a few mutations."""
    text = source.choice(pages[:5] if source.random() < 0.6 else pages).decode("utf-8")  # most are listings
    other = source.choice(pages).decode("utf-8")
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        text = source.choice(_MUTATIONS)(source, text, other)
    body = text.encode("utf-8", "surrogatepass")
    if source.random() < 0.05 and body:
        place = source.randrange(len(body))
        body = body[:place] + bytes([source.randrange(256)]) + body[place + 1 :]
    return body


def _insert(source: random.Random, text: str, other: str) -> str:
    place = source.randint(0, len(text))
    return text[:place] + source.choice(SNIPPETS) + text[place:]


def _between(source: random.Random, text: str, other: str) -> str:
    """Insert a snippet after one tag or text, or after all equal ones."""
    found = _pick(source, _PLACES, text)
    if found is None:
        return text
    snippet = source.choice(SNIPPETS)
    if source.random() < 0.5:
        return text.replace(found[0], found[0] + snippet)
    return text[: found.end()] + snippet + text[found.end() :]


def _value(source: random.Random, text: str, other: str) -> str:
    """Replace a value, or add to it."""
    found = _pick(source, _VALUE, text)
    if found is None:
        return text
    new = source.choice(["", found[0]]) + source.choice(SNIPPETS)
    return text[: found.start()] + new + text[found.end() :]


def _token(source: random.Random, text: str, other: str) -> str:
    """Drop, double or replace a tag or a text, or insert one of another page after it."""
    found = _pick(source, _PLACES, text)
    foreign = _pick(source, _PLACES, other)
    if found is None or foreign is None:
        return text
    new = source.choice(["", found[0] * 2, found[0] + foreign[0], foreign[0]])
    return text[: found.start()] + new + text[found.end() :]


def _rename(source: random.Random, text: str, other: str) -> str:
    """Rename one occurrence, or all occurrences, of an element or attribute."""
    found, foreign = _pick(source, _NAME, text), _pick(source, _NAME, other)
    if found is None or foreign is None:
        return text
    new = source.choice([foreign[0], "x:" + found[0], found[0] + " ", found[0] + "X", "title", "entry"])
    if source.random() < 0.5:
        return text.replace(found[0], new)
    return text[: found.start()] + new + text[found.end() :]


def _slice(source: random.Random, text: str, other: str) -> str:
    """Drop or repeat a part, or replace it with a part of another page."""
    first, last = sorted(source.choices(range(len(text) + 1), k=2))
    last = min(last, first + source.choice([1, 20, 500, 5000]))
    start = source.randint(0, len(other))
    new = source.choice(["", text[first:last] * 2, other[start : start + source.choice([1, 20, 2000])]])
    return text[:first] + new + text[last:]


def _entries(source: random.Random, text: str, other: str) -> str:
    """Insert an entry of another page among those of this one."""
    entries = re.findall(r"<entry.*?</entry>", other, re.DOTALL)
    place = text.find(source.choice(["<entry", "</feed>", "<link", "</content>"]))
    return text[:place] + source.choice(entries) + text[place:] if entries and place > 0 else text


def _pick(source: random.Random, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    start = source.randint(0, len(text))
    return pattern.search(text, start) or pattern.search(text)


_MUTATIONS = [_insert, _between, _between, _value, _value, _value, _token, _token, _rename, _slice, _entries]
