"""The pages for label rules, which are Prometheus's relabel_configs."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db.models import Field
from django.http import HttpRequest
from django.utils.html import format_html

from ..access import roles
from ..models import LabelRule
from .base import HubAdmin
from .fields import LabelNamesField
from .hidden_choices import KeepsHidden
from .team_filter import TeamFilter


class LabelRuleForm(KeepsHidden):
    request: HttpRequest  # set by the admin

    source_labels = LabelNamesField(
        required=False,
        widget=AdminTextInputWidget,
        help_text="Label names, separated by commas. The regex is matched against their values, joined with the "
        "separator.",
    )

    class Meta:
        model = LabelRule
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        scope = cleaned.get("team") or cleaned.get("namespace")
        if not scope and not self.errors and not roles.is_platform_administrator(self.request.user):
            self.add_error(
                "team",
                "Choose your team or one of its namespaces. Only platform administrators can add rules for "
                "all teams.",
            )
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            rule: LabelRule = self.instance
            team = rule.namespace.team if rule.namespace is not None else rule.team
            others = LabelRule.objects.filter(team=team, namespace=rule.namespace).exclude(pk=rule.pk)
            problem = LabelRule.problem_together([*others, rule])
            if problem:
                self.add_error(None, problem)


@admin.register(LabelRule)
class LabelRuleAdmin(HubAdmin):
    form = LabelRuleForm
    list_display = ("action", "scope", "position", "reads", "matches", "writes")
    list_select_related = ("team", "namespace")
    list_filter = ("action", TeamFilter, "source")
    search_fields = ("team__name", "namespace__name", "regex", "target_label", "replacement")
    autocomplete_fields = ("team", "namespace")
    fieldsets = (
        (
            "Scope",
            {
                "fields": ("team", "namespace", "position"),
                "description": "Choose a namespace or a team. Leave both empty to apply the rule to all namespaces "
                "of the hub.",
            },
        ),
        (
            "Rule",
            {
                "fields": (
                    "action",
                    "source_labels",
                    "separator",
                    "regex",
                    "modulus",
                    "target_label",
                    "replacement",
                ),
                "description": "These fields work like the keys of Prometheus's relabel_configs.",
            },
        ),
    )

    @admin.display(description="source labels", ordering="source_labels")
    def reads(self, rule: LabelRule) -> str:
        return ", ".join(rule.source_labels) or "-"

    @admin.display(description="regex", ordering="regex")
    def matches(self, rule: LabelRule) -> str:
        return format_html("<code>{}</code>", rule.regex)

    @admin.display(description="result", ordering="target_label")
    def writes(self, rule: LabelRule) -> str:
        """Return the rule's target label, with the value if the action sets one, or labelmap's replacement."""
        if not rule.target_label:
            return format_html("<code>{}</code>", rule.replacement) if rule.action == "labelmap" else "-"
        if rule.action in {"replace", "hashmod"}:
            value = rule.replacement if rule.action == "replace" else f"hash modulo {rule.modulus}"
            return format_html("{} = <code>{}</code>", rule.target_label, value)
        return rule.target_label

    def formfield_for_dbfield(self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in {"separator", "regex", "replacement"}:
            # A space is a valid separator.
            return forms.CharField(
                required=False,
                strip=False,
                initial=db_field.get_default(),
                help_text=db_field.help_text,
                widget=AdminTextInputWidget,
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)
