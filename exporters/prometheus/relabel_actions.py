"""Rules as functions: compiled once for each configuration, each applied to the labels of all entities at once.

A rule goes through a list of labels in one loop, as calls for each entity and rule would take longer than most rules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from . import relabel
from .gotext import to_lower, to_upper
from .relabel import Rule, is_label_name
from .relabel_outcomes import (
    Outcomes,
    expanding,
    finding,
    hash_of,
    label_mapping,
    matching,
    remembering,
    replacing,
)


class Labels(dict[str, str]):
    """The labels that a rule works on, in the order in which Prometheus's labels.Builder goes through them.

    Those that were there at first and are untouched come first, by name, then the others as they were set. It shows
    where a labelmap maps two labels to one, and nowhere else.
    """

    __slots__ = ("_untouched",)

    def __init__(self, labels: Mapping[str, str]) -> None:
        super().__init__(sorted(labels.items()))
        self._untouched = set(self)

    def __setitem__(self, name: str, value: str) -> None:
        if name in self._untouched:
            self._untouched.discard(name)
            self.pop(name, None)  # its place is now behind the others
        super().__setitem__(name, value)


Work = dict[str, str]
Works = Sequence[Work]


@dataclass(frozen=True, slots=True)
class Step:
    """One compiled rule."""

    rule: Rule
    apply: Callable[[Works], Works]  # changes the labels, and returns those that are not dropped
    matches: Callable[[Work], bool]  # whether the rule has something to say about labels


class Program:
    """A list of compiled rules."""

    def __init__(self, rules: tuple[Rule, ...], legacy_names: bool) -> None:
        self.steps = [_step(rule, legacy_names) for rule in rules]
        self._applies = [step.apply for step in self.steps]
        self._keeps_order = any(rule.action == relabel.LABELMAP for rule in rules)

    def begin(self, labels: Mapping[str, str]) -> Work:
        """Return labels for the steps to work on."""
        work = present(labels)
        return Labels(work) if self._keeps_order else work

    def process(self, labels: Mapping[str, str]) -> dict[str, str] | None:
        """Return the labels after all rules, None when a rule drops them."""
        (after,) = self.process_all([present(labels)])
        return after

    def process_all(self, works: list[Work]) -> Sequence[Work | None]:
        """Return what becomes of each of the labels, which must be present ones and are changed on the way.

        None where a rule drops them.
        """
        if self._keeps_order:
            works = [Labels(work) for work in works]
        left: Works = works
        for apply in self._applies:
            left = apply(left)
        if len(left) == len(works):
            return works
        # Which ones, not which labels: of two that have become equal one may have been dropped before it was.
        kept = set(map(id, left))
        return [work if id(work) in kept else None for work in works]


def present(labels: Mapping[str, str]) -> Work:
    """Return the labels that exist: an empty one doesn't."""
    return {name: value for name, value in labels.items() if value}


@lru_cache(maxsize=256)
def program(rules: tuple[Rule, ...], legacy_names: bool) -> Program:
    """Return the compiled rules; the same list is compiled once."""
    return Program(rules, legacy_names)


def _step(rule: Rule, legacy_names: bool) -> Step:
    source = _source(rule)
    match rule.action:
        case relabel.KEEP | relabel.DROP:
            return _decide(rule, source)
        case relabel.KEEPEQUAL | relabel.DROPEQUAL:
            return _compare(rule, source)
        case relabel.LABELMAP:
            return _labelmap(rule)
        case relabel.LABELDROP | relabel.LABELKEEP:
            return _remove_labels(rule)
        case relabel.REPLACE:
            if "$" in rule.target_label:
                return _replace_some_label(rule, source, legacy_names)
            return _set(rule, source, replacing(rule))
        case relabel.HASHMOD:
            modulus = rule.modulus
            return _set(rule, source, lambda value: str(hash_of(value) % modulus))
        case relabel.LOWERCASE:
            return _set(rule, source, to_lower)
        case relabel.UPPERCASE:
            return _set(rule, source, to_upper)
    raise relabel.RuleError(relabel.problems(rule))


Source = Callable[[Works], list[str]]


def _source(rule: Rule) -> Source:
    """Return a function from labels to the value that the rule looks at in each of them."""
    names, separator = rule.source_labels, rule.separator
    if len(names) == 1:
        (name,) = names
        return lambda works: [labels.get(name, "") for labels in works]
    if not names:
        return lambda works: [""] * len(works)
    return lambda works: [separator.join([labels.get(name, "") for name in names]) for labels in works]


def _decide(rule: Rule, source: Source) -> Step:
    found, wanted = matching(rule), rule.action == relabel.KEEP

    def apply(works: Works) -> Works:
        return [labels for labels, yes in zip(works, map(found, source(works)), strict=True) if yes == wanted]

    return Step(rule, apply, lambda labels: found(*source([labels])))


def _set(rule: Rule, source: Source, compute: Callable[[str], str | None]) -> Step:
    """Return a step that sets the target label to what becomes of the source's value, where something does."""
    target, outcome = rule.target_label, remembering(rule, compute)

    def apply(works: Works) -> Works:
        for labels, new in zip(works, map(outcome, source(works)), strict=True):
            if new:
                labels[target] = new
            elif new is not None:
                labels.pop(target, None)
        return works

    return Step(rule, apply, lambda labels: outcome(*source([labels])) is not None)


def _replace_some_label(rule: Rule, source: Source, legacy_names: bool) -> Step:
    """Return a replacement whose target label depends on what the regex found."""
    find, value = finding(rule.regex), expanding(rule.replacement, rule.regex)
    target = expanding(rule.target_label, rule.regex)

    def compute(text: str) -> tuple[str, str] | None:
        found = find(text)
        if found is None:
            return None
        name = target(*found)
        return (name, value(*found)) if is_label_name(name, legacy=legacy_names) else None

    outcome = remembering(rule, compute)

    def apply(works: Works) -> Works:
        for labels, new in zip(works, map(outcome, source(works)), strict=True):
            if new is not None:
                _put(labels, *new)
        return works

    return Step(rule, apply, lambda labels: outcome(*source([labels])) is not None)


def _put(labels: Work, name: str, value: str) -> None:
    """Set a label; an empty value removes it."""
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _compare(rule: Rule, source: Source) -> Step:
    target, wanted = rule.target_label, rule.action == relabel.KEEPEQUAL

    def equal(labels: Work) -> bool:
        return [labels.get(target, "")] == source([labels])

    return Step(rule, lambda works: [labels for labels in works if equal(labels) == wanted], equal)


def _labelmap(rule: Rule) -> Step:
    outcomes = label_mapping(rule)

    def apply(works: Works) -> Works:
        for labels in works:
            for name, value in list(labels.items()):
                new = outcomes[name]
                if new is not None:
                    _put(labels, new, value)
        return works

    return Step(rule, apply, lambda labels: any(outcomes[name] is not None for name in labels))


def _remove_labels(rule: Rule) -> Step:
    find, wanted = finding(rule.regex), rule.action == relabel.LABELDROP
    removed = Outcomes[tuple[str, ...], list[str]](
        lambda names: [name for name in names if (find(name) is not None) == wanted]
    )

    def apply(works: Works) -> Works:
        for labels in works:
            for name in removed[tuple(labels)]:
                del labels[name]
        return works

    return Step(rule, apply, lambda labels: bool(removed[tuple(labels)]))
