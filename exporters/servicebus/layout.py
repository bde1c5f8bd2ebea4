"""The layout of a page's entries, learnt from the first one.

The service's serializer writes the entries of a page alike: the same elements in the same order. Their tags, taken from
one entry, make a regular expression of literals with the values between them, which reads the next entry in 5 us of
CPU, where looking for each element takes 15. An entry that is different in anything does not match and is read the
other way.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# Five times what the service writes. Above it, whatever it is, compiling would cost more than it saves.
_MOST_TAGS = 300
_MOST_CHARACTERS = 15_000
_TAG = re.compile(r"<([^<>]*)>")
_ITEM = re.compile(r"\w+:(\w+)")


@dataclass(frozen=True, slots=True)
class Layout:
    """Reads entries of one layout."""

    pattern: re.Pattern[str]
    names: tuple[str, ...]  # of the pattern's groups, fields and counts as they come
    # Groups that hold counts, in the order asked for; empty when the entries have none.
    counts: tuple[int, ...]

    def read(self, entry: str, start: int) -> tuple[dict[str, str], list[int] | None] | None:
        """Return the fields and the counts of the description that begins at `start`; None for another layout.

        The fields hold the counts as well, as texts that nobody asks for.
        """
        found = self.pattern.match(entry, start)
        if found is None:
            return None
        groups = found.groups()
        fields = dict(zip(self.names, groups, strict=True))
        return fields, [int(groups[group]) for group in self.counts] if self.counts else None


def learn(
    entry: str, start: int, end_tag: str, fields: frozenset[str], counts: Sequence[str]
) -> Layout | None:
    """Return the layout of the description between `start` and its end tag; None where there is no plain one."""
    end = entry.find(end_tag, start)
    if end < 0 or end - start > _MOST_CHARACTERS:
        return None
    tags = tuple(_TAG.findall(entry, start, end + len(end_tag)))
    layout = _compile(tags, fields, tuple(counts)) if len(tags) <= _MOST_TAGS else None
    return layout if layout is not None and layout.pattern.match(entry, start) else None


@lru_cache(maxsize=64)
def _compile(tags: tuple[str, ...], fields: frozenset[str], counts: tuple[str, ...]) -> Layout | None:
    pattern: list[str] = []
    names: list[str] = []
    for tag in tags:
        pattern.append(re.escape(f"<{tag}>"))
        item = _ITEM.fullmatch(tag)
        if tag in fields:
            names.append(tag)
            pattern.append("([^<]*)")
        elif item is not None and item[1] in counts:
            names.append(item[1])
            pattern.append("([0-9]+)")
        elif not tag.startswith("/") and not tag.endswith("/"):
            pattern.append("[^<]*")
    counted = [name for name in names if name in counts]
    # An element twice, or some of the counts only: that takes more than a layout to judge.
    if len(set(names)) < len(names) or len(counted) not in {0, len(counts)}:
        return None
    if counted and not any(tag.startswith("CountDetails ") for tag in tags):
        return None
    return Layout(
        re.compile("".join(pattern)),
        tuple(names),
        tuple(names.index(name) for name in counts) if counted else (),
    )
