"""Which stored label rule is which of the file's: rules have no name, only their place and what they say."""

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
    """Return the rules' positions in the file's order; a rule that is already in its place keeps it."""
    places: list[int] = []
    last: tuple[int, int] = (0, 0)
    for rule in found:
        if rule is not None and (rule.position, rule.pk) >= last:
            last = (rule.position, rule.pk)
        else:
            last = (last[0] + 10, 0)
        places.append(last[0])
    return places


def _content(rule: LabelRule) -> dict[str, object]:
    return {name: value for name, value in flat(rule).items() if name != "source"}
