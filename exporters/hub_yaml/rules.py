"""Match the file's label rules to the stored ones: rules have no name, only a position and content."""

import math
from collections.abc import Sequence

from ..models import LabelRule, Source
from .export import flat


def match(stored: Sequence[LabelRule], wanted: Sequence[LabelRule]) -> list[LabelRule | None]:
    """Return for each wanted rule of a scope the matching stored rule, or None if it is new.

    Rules with the same content match. The remaining stored rules from a file count as edited, in their order.
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
    """Return the rules' positions in the file's order; a rule that is already in order keeps its position."""
    places: list[int] = []
    # The previous rule's position and row; rules with the same position apply in the order of their rows.
    last: tuple[int, float] = (0, 0)
    for index, rule in enumerate(found):
        if rule is not None and (rule.position, rule.pk) >= last:
            last = (rule.position, rule.pk)
        else:
            last = (_after(last[0], found[index + 1 :]), math.inf if rule is None else rule.pk)
        places.append(last[0])
    return places


def _after(position: int, following: Sequence[LabelRule | None]) -> int:
    """Return a position after this one, and before the next stored rule's if there is room."""
    later = [rule.position for rule in following if rule is not None and rule.position > position + 1]
    return (position + later[0]) // 2 if later else position + 10


def _content(rule: LabelRule) -> dict[str, object]:
    return {name: value for name, value in flat(rule).items() if name != "source"}
