"""Label rules: Prometheus's relabel_configs, stored."""

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from simple_history.models import HistoricalRecords

from ..validators import compile_pattern, is_label_name, validate_source_labels
from .namespaces import Namespace
from .source import source_field
from .teams import Team

# Prometheus's pattern for a label name with references to the regex's groups in it, as in ${1}_total.
_LABEL_TEMPLATE = re.compile(r"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+\Z")


# Prometheus's own defaults; a key that an action has no use for must be left at them.
DEFAULTS: dict[str, Any] = {
    "source_labels": [],
    "separator": ";",
    "regex": "(.*)",
    "modulus": 0,
    "target_label": "",
    "replacement": "$1",
}


def validate_rule_pattern(value: str) -> None:
    """Compile a rule's regex as Prometheus does: anchored, and with . matching line ends."""
    compile_pattern(value)  # first alone, so that the error shows what was entered
    compile_pattern(f"^(?s:{value})$")


class LabelRule(models.Model):
    """One entry of Prometheus's relabel_configs, for a namespace, a team (no namespace) or all (neither)."""

    class Action(models.TextChoices):
        REPLACE = "replace"
        KEEP = "keep"
        DROP = "drop"
        KEEPEQUAL = "keepequal"
        DROPEQUAL = "dropequal"
        HASHMOD = "hashmod"
        LABELMAP = "labelmap"
        LABELDROP = "labeldrop"
        LABELKEEP = "labelkeep"
        LOWERCASE = "lowercase"
        UPPERCASE = "uppercase"

    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="label_rules"
    )
    namespace = models.ForeignKey(
        Namespace, on_delete=models.CASCADE, null=True, blank=True, related_name="label_rules"
    )
    position = models.PositiveIntegerField(
        blank=True, help_text="Rules of the same scope apply in this order. Empty: after the last one."
    )
    action = models.CharField(max_length=10, choices=Action, default=Action.REPLACE)
    source_labels = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_source_labels],
        help_text="Label names, separated by commas; their values, joined by the separator, are what the "
        "regex sees.",
    )
    separator = models.CharField(max_length=20, default=";", blank=True)
    regex = models.TextField(
        default="(.*)",
        blank=True,
        validators=[validate_rule_pattern],
        help_text="RE2 pattern that must match the whole text.",
    )
    modulus = models.PositiveBigIntegerField(default=0, help_text="For hashmod alone.")
    target_label = models.CharField(max_length=200, blank=True, help_text="The label that the rule writes.")
    replacement = models.TextField(
        default="$1", blank=True, help_text="The new value; $1, ${name} stand for the regex's groups."
    )
    source = source_field()

    history = HistoricalRecords()

    class Meta:
        ordering = ["team__name", "namespace__name", "position", "pk"]

    def __str__(self) -> str:
        return f"{self.action} {self.target_label or self.regex}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.namespace is not None:
            self.team = self.namespace.team
        if self.position is None:
            self.position = self.next_position()
        super().save(*args, **kwargs)

    @property
    def scope(self) -> str:
        """For whom the rule applies, in words."""
        if self.namespace is not None:
            return f"namespace {self.namespace}"
        return f"team {self.team}" if self.team is not None else "all namespaces"

    def next_position(self) -> int:
        """Return a position after the scope's last rule, with room to put others in between."""
        siblings = LabelRule.objects.filter(team=self.team, namespace=self.namespace).exclude(pk=self.pk)
        last = siblings.aggregate(last=models.Max("position"))["last"]
        return 10 if last is None else int(last) + 10

    def clean(self) -> None:
        errors = self._wrong_fields()
        if self.namespace is not None and self.team_id not in (None, self.namespace.team_id):
            errors["namespace"] = f"Namespace “{self.namespace}” belongs to team “{self.namespace.team}”."
        if errors:
            raise ValidationError(errors)

    def _wrong_fields(self) -> dict[str, str]:
        """Return what Prometheus would refuse when it loads such a relabel_config, by field.

        The rules are those of Prometheus's relabel.Config.Validate.
        """
        action, errors = self.action, dict[str, str]()
        writes = {"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"}
        if action in writes and not self.target_label:
            errors["target_label"] = f"The action {action} needs a target label."
        elif action in writes and not self._target_is_legal():
            errors["target_label"] = f"“{self.target_label}” is not a label name: use letters, digits and _."
        if action == "hashmod" and not self.modulus:
            errors["modulus"] = "The action hashmod needs a modulus above 0."
        if action == "labelmap" and not _LABEL_TEMPLATE.match(self.replacement):
            errors["replacement"] = "The action labelmap needs a label name here, for example $1."
        for name in self._without_effect():
            if getattr(self, name) != DEFAULTS[name]:
                errors.setdefault(
                    name, f"The action {action} takes no {name}; Prometheus would refuse the rule."
                )
        return errors

    def _target_is_legal(self) -> bool:
        if self.action == "replace" and "$" in self.target_label:
            return _LABEL_TEMPLATE.match(self.target_label) is not None
        return is_label_name(self.target_label)

    def _without_effect(self) -> tuple[str, ...]:
        match self.action:
            case "lowercase" | "uppercase":
                return ("replacement",)
            case "keepequal" | "dropequal":
                return ("separator", "regex", "modulus", "replacement")
            case "labeldrop" | "labelkeep":
                return ("source_labels", "separator", "modulus", "target_label", "replacement")
        return ()
