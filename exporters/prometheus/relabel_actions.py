"""Rules as functions: each list of rules is compiled once and applied to the labels of one series at a time."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from . import relabel
from .gotext import to_lower, to_upper
from .relabel import MAX_LABELS_PER_SERIES, Rule, is_label_name
from .relabel_outcomes import (
    LabelLimitError,
    Outcomes,
    checked,
    expanding,
    finding,
    hash_of,
    matching,
    remembering,
    renaming,
    replacing,
)

logger = logging.getLogger(__name__)


class Labels(dict[str, str]):
    """The labels that rules work on, in the order in which Prometheus's labels.Builder iterates over them.

    Original, unchanged labels come first, by name, then the others in the order in which they were set. The order only
    matters if a labelmap maps two labels to one.
    """

    __slots__ = ("_untouched",)

    def __init__(self, labels: Mapping[str, str]) -> None:
        super().__init__(sorted(labels.items()))
        self._untouched = set(self)

    def __setitem__(self, name: str, value: str) -> None:
        if name in self._untouched:
            self._untouched.discard(name)
            self.pop(name, None)  # moves the label behind the others
        super().__setitem__(name, value)


Work = dict[str, str]
Apply = Callable[[Work], bool]


@dataclass(frozen=True, slots=True)
class Step:
    """One compiled rule.

    Each function computes everything before it changes anything, so that a rule that fails has no effect.
    """

    rule: Rule
    apply: Apply  # changes the labels, and returns whether the series is kept
    matches: Callable[[Work], bool]  # whether the rule applies to the labels


class Program:
    """A list of compiled rules."""

    def __init__(self, rules: tuple[Rule, ...], legacy_names: bool) -> None:
        self.steps = [_step(rule, legacy_names) for rule in rules]
        self._applies = [step.apply for step in self.steps]
        self._keeps_order = any(rule.action == relabel.LABELMAP for rule in rules)
        self._failed: set[Apply] = set()

    def begin(self, work: Work) -> Work:
        """Return labels, none of them empty, for `process` to work on."""
        return Labels(work) if self._keeps_order else work

    def process(self, work: Work) -> bool:
        """Apply the rules to the labels; return whether the series is kept.

        A rule that fails because of a bug in this code is skipped for this series. Raises LabelLimitError if the rules
        exceed the limits of a series.
        """
        for apply in self._applies:
            try:
                if not apply(work):
                    return False
            except LabelLimitError:
                raise
            except Exception:
                self._report(apply)
        return True

    def _report(self, apply: Apply) -> None:
        if apply not in self._failed:  # once, not for each of thousands of series
            self._failed.add(apply)
            rule = self.steps[self._applies.index(apply)].rule
            logger.exception("A label rule failed and was skipped: %s", rule)


def present(labels: Mapping[str, str]) -> Work:
    """Return the labels without empty ones, which count as absent."""
    return {name: value for name, value in labels.items() if value}


@lru_cache(maxsize=256)
def program(rules: tuple[Rule, ...], legacy_names: bool) -> Program:
    """Return the compiled rules; each list is compiled once."""
    return Program(rules, legacy_names)


def process(
    labels: Mapping[str, str], rules: tuple[Rule, ...], *, legacy_names: bool = False
) -> dict[str, str] | None:
    """Return the labels after all rules, None if a rule drops the series: Prometheus's relabel.Process."""
    compiled = program(rules, legacy_names)
    work = compiled.begin(present(labels))
    return dict(work) if compiled.process(work) else None


def _step(rule: Rule, legacy_names: bool) -> Step:
    source = _source(rule)
    match rule.action:
        case relabel.KEEP | relabel.DROP:
            found, wanted = matching(rule), rule.action == relabel.KEEP
            return Step(
                rule, lambda work: found(source(work)) == wanted, lambda work: bool(found(source(work)))
            )
        case relabel.KEEPEQUAL | relabel.DROPEQUAL:
            target, equal = rule.target_label, rule.action == relabel.KEEPEQUAL
            return Step(
                rule,
                lambda work: (work.get(target, "") == source(work)) == equal,
                lambda work: work.get(target, "") == source(work),
            )
        case relabel.LABELMAP:
            return _labelmap(rule)
        case relabel.LABELDROP | relabel.LABELKEEP:
            return _remove_labels(rule)
        case relabel.REPLACE:
            if "$" in rule.target_label:
                return _replace_some_label(rule, source, legacy_names)
            return _set(rule, source, replacing(rule))
        case relabel.HASHMOD:
            return _set(rule, source, lambda text: str(hash_of(text) % rule.modulus))
        case relabel.LOWERCASE:
            return _set(rule, source, to_lower)
        case relabel.UPPERCASE:
            return _set(rule, source, to_upper)
    raise relabel.RuleError(relabel.problems(rule))


Source = Callable[[Work], str]


def _source(rule: Rule) -> Source:
    """Return a function from labels to the rule's source text."""
    names, separator = rule.source_labels, rule.separator
    if len(names) == 1:
        (name,) = names
        return lambda work: work.get(name, "")
    if not names:
        return lambda work: ""
    return lambda work: checked(separator.join([work.get(name, "") for name in names]))


def _set(rule: Rule, source: Source, compute: Callable[[str], str | None]) -> Step:
    """Return a step that sets the target label to the result of `compute`, unless that is None."""
    target, outcome = rule.target_label, remembering(rule, compute)
    only = rule.source_labels[0] if len(rule.source_labels) == 1 else ""

    def apply(work: Work) -> bool:
        # Most rules have one source label; calling `source` for it would take as long as the rest.
        new = outcome(work.get(only, "") if only else source(work))
        if new:
            work[target] = new
        elif new is not None:
            work.pop(target, None)
        return True

    return Step(rule, apply, lambda work: outcome(source(work)) is not None)


def _replace_some_label(rule: Rule, source: Source, legacy_names: bool) -> Step:
    """Return a replacement whose target label depends on the regex's match."""
    find, value = (
        finding(rule.regex),
        expanding(rule.replacement, rule.regex, relabel.MAX_LABEL_VALUE_CHARACTERS),
    )
    target = expanding(rule.target_label, rule.regex, relabel.MAX_LABEL_NAME_CHARACTERS)

    def compute(text: str) -> tuple[str, str] | None:
        found = find(text)
        if found is None:
            return None
        name = target(*found)
        return (name, value(*found)) if is_label_name(name, legacy=legacy_names) else None

    outcome = remembering(rule, compute)

    def apply(work: Work) -> bool:
        new = outcome(source(work))
        if new is not None:
            _put(work, *new)
        return True

    return Step(rule, apply, lambda work: outcome(source(work)) is not None)


def _put(work: Work, name: str, value: str) -> None:
    """Set a label; an empty value removes it."""
    if value:
        work[name] = value
    else:
        work.pop(name, None)


def _labelmap(rule: Rule) -> Step:
    new_name = Outcomes(renaming(rule.replacement, rule.regex))

    def apply(work: Work) -> bool:
        copies = [(new, value) for name, value in work.items() if (new := new_name[name]) is not None]
        for new, value in copies:
            _put(work, new, value)
        if len(work) > MAX_LABELS_PER_SERIES:
            raise LabelLimitError
        return True

    return Step(rule, apply, lambda work: any(new_name[name] is not None for name in work))


def _remove_labels(rule: Rule) -> Step:
    find, wanted = finding(rule.regex), rule.action == relabel.LABELDROP
    removed = Outcomes[tuple[str, ...], list[str]](
        lambda names: [name for name in names if (find(name) is not None) == wanted]
    )

    def apply(work: Work) -> bool:
        for name in removed[tuple(work)]:
            del work[name]
        return True

    return Step(rule, apply, lambda work: bool(removed[tuple(work)]))
