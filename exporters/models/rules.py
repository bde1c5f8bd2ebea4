"""Label rules: stored entries of Prometheus's relabel_configs."""

from collections.abc import Collection
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from ..prometheus import relabel
from ..prometheus.patterns import instructions
from .changes import kept_history
from .namespaces import Namespace
from .source import source_field
from .teams import Team
from .validators import validate_pattern, validate_source_labels
from .version import Versioned

# The most rules of one scope: a namespace, a team or the hub.
MAX_RULES = 100
# The most RE2 instructions of all patterns in a scope. A name takes a few dozen, a list of 300 names about 3,000.
MAX_RULE_INSTRUCTIONS = 100_000


class LabelRule(Versioned):
    """One entry of Prometheus's relabel_configs, for a namespace, a team (no namespace) or the hub (neither)."""

    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="label_rules"
    )
    namespace = models.ForeignKey(
        Namespace, on_delete=models.CASCADE, null=True, blank=True, related_name="label_rules"
    )
    position = models.PositiveIntegerField(
        blank=True,
        help_text="Rules in the same scope apply in this order. If empty, added after the last one.",
    )
    action = models.CharField(
        max_length=10, choices=[(action, action) for action in relabel.ACTIONS], default=relabel.REPLACE
    )
    source_labels = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_source_labels],
        help_text="Label names, separated by commas. The regex is matched against their values, joined with the "
        "separator.",
    )
    separator = models.CharField(max_length=20, default=";", blank=True)
    regex = models.TextField(
        default="(.*)",
        blank=True,
        validators=[validate_pattern],
        help_text="RE2 pattern that must match the whole text.",
    )
    modulus = models.PositiveBigIntegerField(default=0, help_text="hashmod only.")
    target_label = models.CharField(max_length=200, blank=True, help_text="The label that the rule sets.")
    replacement = models.TextField(
        default="$1", blank=True, help_text="The new value. $1 and ${name} refer to the regex's groups."
    )
    source = source_field()

    history = kept_history()

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
        """Where the rule applies, in words."""
        if self.namespace is not None:
            return f"namespace {self.namespace}"
        return f"team {self.team}" if self.team is not None else "all namespaces"

    def next_position(self) -> int:
        """Return a position after the scope's last rule, with a gap for rules in between."""
        siblings = LabelRule.objects.filter(team=self.team, namespace=self.namespace).exclude(pk=self.pk)
        last = siblings.aggregate(last=models.Max("position"))["last"]
        return 10 if last is None else int(last) + 10

    def rule(self) -> relabel.Rule:
        """Return the rule without its scope and position."""
        return relabel.Rule(
            source_labels=tuple(self.source_labels),
            separator=self.separator,
            regex=self.regex,
            modulus=self.modulus,
            target_label=self.target_label,
            replacement=self.replacement,
            action=self.action,
        )

    def clean(self) -> None:
        # The fields' own validators have checked the pattern and the source labels.
        errors = {**self._reserved(), **relabel.misuse(self.rule(), legacy_names=True)}
        if self.namespace is not None and self.team_id not in (None, self.namespace.team_id):
            errors["namespace"] = f"Namespace “{self.namespace}” belongs to team “{self.namespace.team}”."
        if errors:
            raise ValidationError(errors)

    @staticmethod
    def problem_together(rules: "Collection[LabelRule]") -> str:
        """Return why one scope can't have all these valid rules; empty if it can."""
        if len(rules) > MAX_RULES:
            return f"This would be {len(rules)} rules. A namespace, a team or the hub can have at most {MAX_RULES}."
        total = sum(instructions(rule.regex) for rule in rules)
        if total > MAX_RULE_INSTRUCTIONS:
            return (
                f"The patterns of these rules are too large together: RE2 compiles them to {total:,} instructions, "
                f"and {MAX_RULE_INSTRUCTIONS:,} are allowed. Use fewer repetitions or smaller character classes."
            )
        return ""

    def _reserved(self) -> dict[str, str]:
        label = self.target_label
        if self.action not in relabel.WRITING or label == "__name__" or label.startswith("__tmp"):
            return {}
        if label.startswith("__"):
            return {
                "target_label": f"“{label}”: Prometheus reserves labels that start with __. For an intermediate "
                "value, use a name that starts with __tmp."
            }
        if label in {"job", "instance"}:
            return {
                "target_label": f"Prometheus sets “{label}” itself and would rename this one to exported_{label}."
            }
        return {}
