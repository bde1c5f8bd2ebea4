"""Which stored label rule is which of the file's: rules have no name, only their place and what they say."""

import math
from collections.abc import Sequence

from ..models import LabelRule, Source
from .export import flat


def match(stored: Sequence[LabelRule], wanted: Sequence[LabelRule]) -> list[LabelRule | None]:
    """Return for each wanted rule of a scope the stored one that it is, None for a new one.

    Rules that say the same are the same. Of the others, those that came from a file are taken to have been
    edited, in their order.
    """
    free = list(stored)
    found: list[LabelRule | None] = []
    for rule in wanted:
        same = [other for other in free if _content(other) == _content(rule)]
        same.sort(key=lambda other: other.source != rule.source)
        found.append(same[0] if same else None)
        if same:
            free.remove(same[0])
    edited = [rule for rule in free if rule.source == Source.FILE]
    return [rule or (edited.pop(0) if edited else None) for rule in found]


def positions(found: Sequence[LabelRule | None]) -> list[int]:
    """Return the rules' positions in the file's order; a rule that stands right already keeps its own."""
    places: list[int] = []
    # The last rule's position and row; rules of the same position apply in the order of their rows.
    last: tuple[int, float] = (0, 0)
    for index, rule in enumerate(found):
        if rule is not None and (rule.position, rule.pk) >= last:
            last = (rule.position, rule.pk)
        else:
            last = (_after(last[0], found[index + 1 :]), math.inf if rule is None else rule.pk)
        places.append(last[0])
    return places


def _after(position: int, following: Sequence[LabelRule | None]) -> int:
    """Return a position after this one, before the next stored rule's where there is room."""
    later = [rule.position for rule in following if rule is not None and rule.position > position + 1]
    return (position + later[0]) // 2 if later else position + 10


def _content(rule: LabelRule) -> dict[str, object]:
    return {name: value for name, value in flat(rule).items() if name != "source"}
