"""Decide whether rules have to be applied to each series of a metric, or once to each entity.

An entity's series differ in `__name__` and in the labels that a metric adds to the entity's own. If no rule can read,
write or remove one of these, all series of the entity get the same labels.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from . import relabel
from .patterns import compile_pattern
from .relabel import Rule
from .relabel_actions import program
from .relabel_outcomes import LabelLimitError, renaming

NAME = "__name__"


@dataclass(frozen=True, slots=True)
class Plan:
    """How the series of a metric get their labels."""

    rules: tuple[Rule, ...]
    for_each_series: bool = False
    is_dropped: bool = False  # the rules drop the whole metric


_NO_RULES = Plan(())


def plan(
    rules: tuple[Rule, ...], metric: str, extra_labels: Collection[str], labels: Collection[str]
) -> Plan:
    """Return how to apply the rules to a metric. `labels` are the names that its entities offer to the rules."""
    if not rules:
        return _NO_RULES
    about_the_name = tuple(rule for rule in rules if _decides_by_name(rule))
    others = tuple(rule for rule in rules if not _decides_by_name(rule))
    if could_touch(others, {NAME, *extra_labels}, labels):
        return Plan(rules, for_each_series=True)
    # No other rule touches the name, so these rules treat all series of the metric alike.
    kept = program(about_the_name, True).process({NAME: metric})
    return Plan(others, is_dropped=not kept)


def _decides_by_name(rule: Rule) -> bool:
    """Return whether the rule keeps or drops whole metrics, as most rules about `__name__` do."""
    return rule.action in {relabel.KEEP, relabel.DROP} and set(rule.source_labels) == {NAME}


def could_touch(rules: Sequence[Rule], special: set[str], labels: Collection[str]) -> bool:
    """Return whether any of the rules could read, write or remove one of the special labels.

    `labels` are the names of all other labels. The result can be a false positive for the labels at hand, but never a
    false negative.
    """
    known = {*labels, *special}
    any_name = False  # whether the rules so far could have set a label of any name
    for rule in rules:
        match rule.action:
            case relabel.LABELDROP | relabel.LABELKEEP:
                matches = compile_pattern(rule.regex).fullmatch
                drops = rule.action == relabel.LABELDROP
                if any((matches(name.encode()) is not None) == drops for name in special):
                    return True
            case relabel.LABELMAP:
                new_names = _mapped(rule, known)
                if any_name or special & {*new_names, *new_names.values()}:
                    return True
                known.update(new_names.values())
            case _:
                if special & {*rule.source_labels, rule.target_label}:
                    return True
                if rule.action == relabel.REPLACE and "$" in rule.target_label:
                    beginning = rule.target_label.partition("$")[0]
                    if any(name.startswith(beginning) for name in special):
                        return True
                    any_name = True
                known.add(rule.target_label)
    return False


@lru_cache(maxsize=256)
def shared_beginning(rules: tuple[Rule, ...], special: frozenset[str], labels: tuple[str, ...]) -> int:
    """Return how many rules at the beginning treat all series of an entity alike."""
    if any(rule.action == relabel.LABELMAP for rule in rules):
        return 0  # its effect can depend on the order in which all earlier rules set labels
    return next(
        (count for count in range(len(rules)) if could_touch(rules[: count + 1], {*special}, labels)),
        len(rules),
    )


def labels_read(rules: Sequence[Rule], labels: Collection[str]) -> tuple[str, ...]:
    """Return which of these labels the rules could read."""
    read: set[str] = set()
    for rule in rules:
        if rule.action == relabel.LABELMAP:
            read.update(_mapped(rule, labels))
        else:
            read.update((*rule.source_labels, rule.target_label))
    return tuple(label for label in labels if label in read)


def _mapped(rule: Rule, names: Collection[str]) -> dict[str, str]:
    """Return the labels that a labelmap copies: old name -> new name."""
    new_name = renaming(rule.replacement, rule.regex)
    found = {}
    for name in names:
        try:
            new = new_name(name)
        except LabelLimitError:
            new = ""  # the label counts as read; the rule itself drops the series
        if new is not None:
            found[name] = new
    return found
