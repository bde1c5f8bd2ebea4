"""Namespaces: the scrape targets."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest

from ..credentials.encryption import SecretUnavailableError
from ..models import Namespace
from ..models.namespaces import default_metric_groups
from ..prometheus.metrics import GROUPS
from . import owned_hosts
from .fields import LabelsField
from .hidden_choices import KeepsHidden
from .hub_yaml import HubYaml
from .namespace_actions import NamespaceActions
from .namespace_new import NamespaceNew
from .namespace_rules import NamespaceRules
from .namespace_status import NamespaceStatusPage
from .team_filter import TeamFilter

_GROUPS = {
    "counts": "counts: Service Bus's own totals, and the number of subscriptions per topic",
    "times": "times: created, updated and last accessed",
    "state": "state: active, disabled, send disabled or receive disabled",
    "settings": "settings: maximum delivery count, lock duration, time to live",
    "info": "info: forwarding, sessions, partitioning",
    "namespace": "namespace: SKU, messaging units and number of entities",
}


class NamespaceForm(KeepsHidden):
    labels = LabelsField(
        required=False,
        help_text="Target labels for service discovery, one name=value per line, for example environment=prod.",
    )
    metric_groups = forms.MultipleChoiceField(
        required=False,
        choices=[(group, _GROUPS[group]) for group in GROUPS],
        widget=forms.CheckboxSelectMultiple,
        initial=default_metric_groups,
        help_text="In addition to message counts and sizes, which are always exported.",
    )

    request: HttpRequest  # set by the admin
    allowed_host = ""  # added to the credential's hosts once the namespace is saved

    class Meta:
        model = Namespace
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if {"host", "credential"} & set(self.changed_data):
            credential, host = cleaned.get("credential"), cleaned.get("host", "")
            self.allowed_host = owned_hosts.allow(self.request.user, credential, host)
        return cleaned


@admin.register(Namespace)
class NamespaceAdmin(NamespaceActions, NamespaceRules, NamespaceNew, NamespaceStatusPage, HubYaml):
    form = NamespaceForm
    list_display = ("name", "team", "endpoint", "credential", "enabled", "source")
    list_select_related = ("team", "credential")
    list_filter = ("enabled", TeamFilter, "credential__kind", "source")
    search_fields = ("name", "host", "team__name", "credential__name")
    autocomplete_fields = ("team", "credential")
    shown_read_only = {"metric_groups": "groups_shown", "labels": "labels_shown"}  # stored as JSON
    formfield_overrides = {models.TextField: {"widget": AdminTextInputWidget}}
    fieldsets = (
        (None, {"fields": ("name", "team", "host", "credential", "enabled")}),
        (
            "Metrics and entities",
            {
                "fields": ("include", "exclude", "metric_groups"),
                "description": "Excluded topics cost no requests. Excluding a topic excludes its subscriptions.",
            },
        ),
        (
            "Service discovery",
            {
                "fields": ("labels", "scrape_interval_seconds", "scrape_timeout_seconds"),
                "description": "What /sd returns to Prometheus for this target.",
            },
        ),
        (
            "Limits",
            {
                "fields": (
                    "requests_per_second",
                    "burst",
                    "concurrency",
                    "timeout_seconds",
                    "cache_seconds",
                    "max_age_seconds",
                    "max_entities",
                ),
                "description": "A Standard namespace has 1,000 credits per second, shared with its senders and "
                "receivers. Each management request costs 10.",
            },
        ),
    )

    def save_model(self, request: HttpRequest, obj: Namespace, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.allowed_host and obj.credential is not None:
            obj.credential.allow_host(form.allowed_host)

    @admin.display(description="metric groups")
    def groups_shown(self, namespace: Namespace) -> str:
        return ", ".join(namespace.metric_groups) or "none"

    @admin.display(description="labels")
    def labels_shown(self, namespace: Namespace) -> str:
        return ", ".join(f"{name}={value}" for name, value in namespace.labels.items()) or "none"

    @admin.display(description="endpoint", ordering="host")
    def endpoint(self, namespace: Namespace) -> str:
        if namespace.host:
            return namespace.host
        try:
            return str(namespace.endpoint())
        except (SecretUnavailableError, ValidationError):
            return "unknown"

    def get_changeform_initial_data(self, request: Any) -> dict[str, Any]:
        return {"metric_groups": default_metric_groups(), **super().get_changeform_initial_data(request)}
