"""Prometheus's relabel_configs, on RE2: the same keys, defaults, checks and results.

The rules behave as in Prometheus's own package model/relabel, version 3.x. It differs from 2.x in two ways: a dot now
matches a line end, and a label name may contain any character. `legacy_names` restores the old names (the hub uses it,
because every Prometheus can read the names in its exposition).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import re2

from .patterns import pattern_problem

REPLACE, KEEP, DROP, KEEPEQUAL, DROPEQUAL = "replace", "keep", "drop", "keepequal", "dropequal"
HASHMOD, LABELMAP, LABELDROP, LABELKEEP = "hashmod", "labelmap", "labeldrop", "labelkeep"
LOWERCASE, UPPERCASE = "lowercase", "uppercase"
ACTIONS = (
    *(REPLACE, KEEP, DROP, KEEPEQUAL, DROPEQUAL, HASHMOD),
    *(LABELMAP, LABELDROP, LABELKEEP, LOWERCASE, UPPERCASE),
)
# Actions that write one label.
WRITING = frozenset({REPLACE, HASHMOD, LOWERCASE, UPPERCASE})
# Actions that need a target label: they write it, or compare with it.
_TARGETED = WRITING | {KEEPEQUAL, DROPEQUAL}
# Actions that don't change labels.
DECIDING = frozenset({KEEP, DROP, KEEPEQUAL, DROPEQUAL})
ANYTHING = "(.*)"
# Prometheus calls these label_value_length_limit, label_name_length_limit and label_limit. The first also limits the
# text that a rule joins from several labels, and the last the number of labels that a rule names.
MAX_LABEL_VALUE_CHARACTERS = 2_048
MAX_LABEL_NAME_CHARACTERS = 200
MAX_LABELS_PER_SERIES = 100
_LARGEST_MODULUS = 2**64 - 1


# The value of a YAML null for keys that take no text.
_EMPTY: Mapping[str, Any] = {"source_labels": (), "modulus": 0}


class RuleError(ValueError):
    """A rule that Prometheus would not load; `errors` maps keys to messages."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{key}: {message}" for key, message in errors.items()))
        self.errors = dict(errors)


@dataclass(frozen=True, slots=True)
class Rule:
    """One relabel_config: plain values, with Prometheus's defaults."""

    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    regex: str = ANYTHING
    modulus: int = 0
    target_label: str = ""
    replacement: str = "$1"
    action: str = REPLACE

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, legacy_names: bool = False) -> Self:
        """Return the rule of a mapping with Prometheus's keys; raise RuleError if Prometheus would refuse it."""
        known = {field.name: field.default for field in fields(cls)}
        errors = {
            str(key): f"Unknown key. Valid keys: {', '.join(known)}." for key in config if key not in known
        }
        values: dict[str, Any] = {}
        for key, value in config.items():
            if value is None and key in known:
                # Null means an empty value, not the key's default. An empty action is refused below.
                values[key] = _EMPTY.get(key, "")
            elif key == "source_labels":
                if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
                    values[key] = tuple(value)
                else:
                    errors[key] = "Enter a list of label names."
            elif key == "modulus":
                if isinstance(value, int) and not isinstance(value, bool):
                    values[key] = value
                else:
                    errors[key] = "Enter a whole number."
            elif key in known:
                # As Prometheus reads YAML: a number or true counts as its text.
                values[key] = str(value).lower() if isinstance(value, bool) else str(value)
        if "action" in values:
            values["action"] = values["action"].lower()  # Prometheus accepts Replace as well as replace
        rule = cls(**values)
        errors = {**problems(rule, legacy_names=legacy_names), **errors}
        if rule.action in {KEEPEQUAL, DROPEQUAL} and "regex" in config:
            # Prometheus compares compiled patterns, so it refuses even the default if it is given explicitly.
            errors.setdefault("regex", _no_use(rule.action, "regex"))
        if errors:
            raise RuleError(errors)
        return rule


def problems(rule: Rule, *, legacy_names: bool = False) -> dict[str, str]:
    """Return, by key, why Prometheus would not load the rule; empty if it would."""
    errors = misuse(rule, legacy_names=legacy_names)
    if len(rule.source_labels) > MAX_LABELS_PER_SERIES:
        errors.setdefault("source_labels", f"List at most {MAX_LABELS_PER_SERIES} labels.")
    for name in rule.source_labels:
        if not is_label_name(name, legacy=legacy_names):
            errors.setdefault("source_labels", f"“{name}” is not a label name: use letters, digits and _.")
    problem = pattern_problem(rule.regex)
    if problem:
        errors.setdefault("regex", problem)
    return errors


def misuse(rule: Rule, *, legacy_names: bool = False) -> dict[str, str]:
    """Return, by key, what the action lacks or doesn't take, as Prometheus's relabel.Config.Validate does."""
    if rule.action not in ACTIONS:
        return {"action": f"“{rule.action}” is not an action. Choose from {', '.join(ACTIONS)}."}
    errors: dict[str, str] = {}
    action = rule.action
    if action in _TARGETED:
        if not rule.target_label:
            errors["target_label"] = f"The action {action} needs a target label."
        elif not _is_target(rule, legacy_names):
            errors["target_label"] = f"“{rule.target_label}” is not a label name: use letters, digits and _."
    if action == HASHMOD and not rule.modulus:
        errors["modulus"] = "The action hashmod needs a modulus above 0."
    elif not 0 <= rule.modulus <= _LARGEST_MODULUS:
        errors["modulus"] = f"The modulus must be a number from 0 to {_LARGEST_MODULUS}."
    if action == LABELMAP and not _is_template(rule.replacement, legacy_names):
        errors["replacement"] = "The action labelmap needs a label name, for example $1."
    for name, limit in _LONGEST.items():
        if len(getattr(rule, name)) > limit:
            errors.setdefault(name, f"Use {limit:,} characters at most.")
    for name in _without_effect(action):
        if getattr(rule, name) != getattr(_DEFAULT, name):
            errors.setdefault(name, _no_use(action, name))
    return errors


def _no_use(action: str, key: str) -> str:
    return f"The action {action} doesn't accept {key}. Prometheus would reject the rule."


_DEFAULT = Rule()
_LONGEST = {
    "separator": MAX_LABEL_VALUE_CHARACTERS,
    "target_label": MAX_LABEL_NAME_CHARACTERS,
    "replacement": MAX_LABEL_VALUE_CHARACTERS,
}


def _without_effect(action: str) -> tuple[str, ...]:
    """Return the keys that must have their defaults with this action, or Prometheus refuses the rule."""
    match action:
        case "lowercase" | "uppercase":
            return ("replacement",)
        case "keepequal" | "dropequal":
            return ("separator", "regex", "modulus", "replacement")
        case "labeldrop" | "labelkeep":
            return ("source_labels", "separator", "modulus", "target_label", "replacement")
    return ()


def _is_target(rule: Rule, legacy_names: bool) -> bool:
    if rule.action == REPLACE and "$" in rule.target_label:
        return _is_template(rule.target_label, legacy_names)
    return is_label_name(rule.target_label, legacy=legacy_names)


def _is_template(text: str, legacy_names: bool) -> bool:
    """Return whether this is a label name that may contain references to the regex's groups, as in ${1}_total."""
    return bool(_LEGACY_TEMPLATE.fullmatch(text)) if legacy_names else bool(text)


def is_label_name(name: str, *, legacy: bool = True) -> bool:
    """Return whether Prometheus accepts this as a label name: any text since 3.0, letters, digits and _ before.

    Names of more than MAX_LABEL_NAME_CHARACTERS are not accepted either.
    """
    if len(name) > MAX_LABEL_NAME_CHARACTERS:
        return False
    return bool(_LEGACY_LABEL.fullmatch(name)) if legacy else bool(name)


def is_metric_name(name: str) -> bool:
    """Return whether every Prometheus accepts this as a metric name."""
    return bool(_LEGACY_METRIC.fullmatch(name))


_LEGACY_LABEL = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
_LEGACY_METRIC = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
# RE2, because Python's own engine takes exponential time for this pattern.
_LEGACY_TEMPLATE = re2.compile(r"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+")
