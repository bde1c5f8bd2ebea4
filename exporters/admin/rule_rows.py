"""The rules of one scope during editing: rows of inputs that can be moved, previewed and saved."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db import transaction

from ..models import LabelRule, Namespace, Source, Team
from ..models.rules import MAX_RULES
from ..pages.numbers import whole_number
from .fields import LabelNamesField

FIELDS = ("action", "source_labels", "separator", "regex", "modulus", "target_label", "replacement")


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """One rule. A space is a valid separator, so nothing is stripped."""

    source_labels = LabelNamesField(
        required=False, widget=AdminTextInputWidget, help_text="Names, separated by commas."
    )
    separator = forms.CharField(required=False, strip=False, max_length=20, widget=AdminTextInputWidget)
    regex = forms.CharField(required=False, strip=False, widget=AdminTextInputWidget)
    replacement = forms.CharField(required=False, strip=False, widget=AdminTextInputWidget)
    modulus = forms.IntegerField(required=False, min_value=0, widget=AdminTextInputWidget)

    class Meta:
        model = LabelRule
        fields = FIELDS
        widgets = {"target_label": AdminTextInputWidget}

    def clean_modulus(self) -> int:
        return int(self.cleaned_data["modulus"] or 0)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where rules apply: to a namespace, a team (no namespace) or the whole hub (neither)."""

    word: str  # namespace, team, hub
    team: Team | None
    namespace: Namespace | None

    @property
    def is_too_large(self) -> bool:
        """Whether the scope has more rules than the page can hold. Saving only some would delete the others."""
        return sum(rule.source == Source.ADMIN for rule in self.stored()) > MAX_RULES

    def stored(self) -> list[LabelRule]:
        """Return the scope's rules in order."""
        return list(
            LabelRule.objects.filter(team=self.team, namespace=self.namespace).order_by("position", "pk")
        )


@dataclass(frozen=True, slots=True)
class Mistake:
    """An error in a row."""

    row: int  # 1-based
    field: str
    element: str  # the ID of the field's input; empty if the error belongs to no field
    text: str


class Rows:
    """The rows of a form: one for each rule of the scope that doesn't come from hub.yaml."""

    def __init__(self, scope: Scope, values: Sequence[Mapping[str, str]]) -> None:
        self.scope = scope
        stored = scope.stored()
        self._stored = {str(rule.pk): rule for rule in stored if rule.source == Source.ADMIN}
        self._from_file = [rule for rule in stored if rule.source == Source.FILE]
        self.values = [dict(row) for row in values]
        self.forms = [self._form(number, row) for number, row in enumerate(self.values)]

    @classmethod
    def of_stored(cls, scope: Scope) -> "Rows":
        if scope.is_too_large:
            return cls(scope, [])
        rules = [rule for rule in scope.stored() if rule.source == Source.ADMIN]
        return cls(scope, [{"id": str(rule.pk), **as_typed(rule)} for rule in rules])

    @classmethod
    def of_post(cls, scope: Scope, data: Mapping[str, Any]) -> "Rows":
        """Return the rows of a posted form, after applying the button that moves, adds or removes a row."""
        count = min(_number(data.get("rows")), MAX_RULES)
        rows = [
            {name: str(data.get(f"rule-{number}-{name}", "")) for name in ("id", *FIELDS)}
            for number in range(count)
        ]
        what, _, which = str(data.get("do", "")).partition("-")
        number = _number(which)
        if what == "add" and len(rows) < MAX_RULES:
            rows.append(blank())
        elif what == "remove" and number < len(rows):
            del rows[number]
        elif what == "up" and 0 < number < len(rows):
            rows[number - 1], rows[number] = rows[number], rows[number - 1]
        elif what == "down" and number < len(rows) - 1:
            rows[number], rows[number + 1] = rows[number + 1], rows[number]
        return cls(scope, rows)

    def extended(self, rules: Sequence[Mapping[str, Any]]) -> "Rows":
        """Return these rows plus one for each imported rule; raise ValueError if that exceeds MAX_RULES."""
        if len(self.values) + len(rules) > MAX_RULES:
            raise ValueError(f"This page can have at most {MAX_RULES} rules.")
        more = [as_typed(LabelRule(**rule)) for rule in rules]
        return Rows(self.scope, [*self.values, *more])

    @property
    def are_valid(self) -> bool:
        return all(form.is_valid() for form in self.forms) and not self.problem

    @cached_property
    def problem(self) -> str:
        """Why the scope can't have these rules in addition to those of hub.yaml; empty if it can."""
        return LabelRule.problem_together([*self._from_file, *self.rules()])

    def rules(self) -> list[LabelRule]:
        """Return the rules of the valid rows."""
        return [form.instance for form in self.forms if form.is_valid()]

    def errors(self) -> list[Mistake]:
        """Return the errors in order of the rows."""
        return [
            Mistake(number, field, form[field].auto_id if field in form.fields else "", str(error))
            for number, form in enumerate(self.forms, 1)
            for field, errors in form.errors.items()
            for error in errors
        ]

    def save(self) -> None:
        """Save the rows in order, and delete the rules whose rows were removed."""
        with transaction.atomic():
            position = max([rule.position for rule in self._from_file], default=0)
            kept = {form.instance.pk for form in self.forms}
            for rule in self._stored.values():
                if rule.pk not in kept:
                    rule.delete()
            for form in self.forms:
                rule = form.instance
                stands_right = rule.position is not None and rule.position > position
                if not stands_right:
                    rule.position = position + 10
                position = rule.position
                if not stands_right or form.has_changed():
                    rule.save()

    def _form(self, number: int, row: Mapping[str, str]) -> RuleForm:
        rule = self._stored.get(row.get("id", ""))
        rule = rule or LabelRule(team=self.scope.team, namespace=self.scope.namespace)
        prefix = f"rule-{number}"
        data = {f"{prefix}-{name}": value for name, value in row.items()}
        return RuleForm(data, prefix=prefix, instance=rule, initial={"modulus": rule.modulus or None})


def as_typed(rule: LabelRule) -> dict[str, str]:
    """Return a rule's values as the inputs show them."""
    values = {name: getattr(rule, name) for name in FIELDS}
    return {
        **{name: str(value) for name, value in values.items()},
        "source_labels": ", ".join(rule.source_labels),
        "modulus": str(rule.modulus or ""),
    }


def blank() -> dict[str, str]:
    return as_typed(LabelRule())


def fingerprint(scope: Scope) -> str:
    """Return a mark of the scope's stored rules, for detecting changes made while a form was open."""
    stored = [(rule.pk, rule.position, rule.source, as_typed(rule)) for rule in scope.stored()]
    return hashlib.sha256(repr(stored).encode()).hexdigest()[:16]


def _number(text: Any) -> int:
    return whole_number(text) or 0
