"""What a list of rules means for one metric.

Rules work on entities, of which each has twenty series: a rule is applied to each series only where it could tell them
apart. That is where it reads or writes `__name__` or a label that this one metric has beside the entity's own. Most
rules about `__name__` look at nothing else, so what they do to a metric is known before there is any entity.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from . import relabel
from .relabel import Rule, compile_pattern
from .relabel_actions import program
from .relabel_outcomes import label_mapping

NAME = "__name__"
# Stands for whatever a label had before; no label of an entity holds it.
_BEFORE = "\0"


@dataclass(frozen=True, slots=True)
class Plan:
    """How the series of a metric get their labels."""

    name: str  # the metric's name after the rules; empty: they took it away, and the metric keeps its own
    # What is left to do: first for an entity, and then for each of its series where they have to be told apart.
    rules: tuple[Rule, ...] = ()
    series_rules: tuple[Rule, ...] = ()
    for_each_series: bool = False  # they have to see the series's own labels: __name__ and the extra ones
    renames: bool = False  # they could give a series a name of its own
    dropped: bool = False  # nothing of the metric is left


def plan(
    rules: tuple[Rule, ...], metric: str, extra_labels: Collection[str], labels: Collection[str]
) -> Plan:
    """Return what the rules mean for a metric. `labels` are the names that its entities have before the rules."""
    name, known = metric, _Names({*labels, *extra_labels, NAME})
    left: list[Rule] = []
    for index, rule in enumerate(rules):
        if not known.touches(rule, NAME):
            left.append(rule)
        elif rule.action in {relabel.LABELDROP, relabel.LABELKEEP}:
            name = ""
            left.append(rule)
        elif _looks_at_the_name_alone(rule):
            before = {NAME: name, **({rule.target_label: _BEFORE} if rule.target_label != NAME else {})}
            after = program((rule,), True).process(before)
            if after is None:
                return Plan(name, dropped=True)
            name = after.pop(NAME, "")
            value = after.get(rule.target_label, "")
            if rule.target_label not in {"", NAME} and value != _BEFORE:
                left.append(Rule(target_label=rule.target_label, replacement=value.replace("$", "$$")))
        else:
            rest = rules[index:]
            if _see(left, extra_labels, labels) or any(each.action == relabel.LABELMAP for each in rest):
                left, rest = [], (*left, *rest)
            renames = known.any_writes(rest, NAME)
            return Plan(name, tuple(left), rest, for_each_series=True, renames=renames)
        known.learn(rule)
    if _see(left, extra_labels, labels):
        return Plan(name, (), tuple(left), for_each_series=True)
    return Plan(name, tuple(left))


def _see(rules: Sequence[Rule], extra_labels: Collection[str], labels: Collection[str]) -> bool:
    """Tell whether rules could read or write labels that a metric has beside its entities' own."""
    known = _Names({*labels, *extra_labels, NAME})
    for rule in rules:
        if any(known.touches(rule, label) for label in extra_labels):
            return True
        known.learn(rule)
    return False


def writes(rules: tuple[Rule, ...], label: str, labels: Collection[str]) -> bool:
    """Tell whether any of the rules could change a label, for entities with labels of these names."""
    return _Names(set(labels)).any_writes(rules, label)


def labels_read(rules: tuple[Rule, ...], labels: Collection[str]) -> tuple[str, ...]:
    """Return which of these labels the rules could read."""
    read: set[str] = set()
    for rule in rules:
        if rule.action == relabel.LABELMAP:
            mapping = label_mapping(rule)
            read.update(label for label in labels if mapping[label] is not None)
        else:
            read.update({*rule.source_labels, rule.target_label} & set(labels))
    return tuple(label for label in labels if label in read)


def _looks_at_the_name_alone(rule: Rule) -> bool:
    compares = rule.action in {relabel.KEEPEQUAL, relabel.DROPEQUAL, relabel.LABELMAP}
    return not compares and "$" not in rule.target_label and all(name == NAME for name in rule.source_labels)


class _Names:
    """The names that labels can have at one point of a list of rules."""

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._any = False  # a rule could have made a label of any name

    def touches(self, rule: Rule, label: str) -> bool:
        """Tell whether the rule could read or write this label."""
        return self.writes(rule, label) or _reads(rule, label)

    def writes(self, rule: Rule, label: str) -> bool:
        """Tell whether the rule could set this label or take it away."""
        match rule.action:
            case action if action in relabel.DECIDING:
                return False
            case relabel.LABELDROP | relabel.LABELKEEP:
                found = compile_pattern(rule.regex).fullmatch(label.encode()) is not None
                return found == (rule.action == relabel.LABELDROP)
            case relabel.LABELMAP:
                mapping = label_mapping(rule)
                if any(mapping[name] == label for name in self._names):
                    return True
                return self._any and _could_become(rule.replacement, label)
        if _is_open(rule):
            return _could_become(rule.target_label, label)
        return label == rule.target_label

    def any_writes(self, rules: tuple[Rule, ...], label: str) -> bool:
        """Tell whether one of these rules, the next ones of the list, could set this label or take it away."""
        for rule in rules:
            if self.writes(rule, label):
                return True
            self.learn(rule)
        return False

    def learn(self, rule: Rule) -> None:
        """Take in what the rule could add."""
        if rule.action == relabel.LABELMAP:
            mapping = label_mapping(rule)
            self._names |= {new for name in self._names if (new := mapping[name]) is not None}
        elif _is_open(rule):
            self._any = True
        elif rule.target_label:
            self._names.add(rule.target_label)


def _reads(rule: Rule, label: str) -> bool:
    if rule.action == relabel.LABELMAP:
        return label_mapping(rule)[label] is not None
    if rule.action in {relabel.LABELDROP, relabel.LABELKEEP}:
        return False
    compares = rule.action in {relabel.KEEPEQUAL, relabel.DROPEQUAL}
    return label in rule.source_labels or (compares and label == rule.target_label)


def _is_open(rule: Rule) -> bool:
    """Tell whether the rule's target label depends on values."""
    return rule.action == relabel.REPLACE and "$" in rule.target_label


def _could_become(template: str, label: str) -> bool:
    return label.startswith(template.partition("$")[0])
