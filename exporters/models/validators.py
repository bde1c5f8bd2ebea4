"""Validators for fields of the stored configuration; each message explains how to fix the value."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from ..prometheus.metrics import GROUPS, METRIC_LABELS
from ..prometheus.patterns import pattern_problem
from ..prometheus.relabel import MAX_LABEL_VALUE_CHARACTERS, MAX_LABELS_PER_SERIES, is_label_name

# Labels that service discovery adds to a namespace; label rules can use all of them.
MAX_NAMESPACE_LABELS = 50

slug_validator = RegexValidator(
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z",
    "Use lowercase letters, digits and hyphens, starting and ending with a letter or digit.",
)
client_id_validator = RegexValidator(
    r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z",
    "Enter the application (client) ID, a GUID like 11111111-2222-3333-4444-555555555555, not the application's name.",
)

_TENANT = re.compile(
    r"([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    r"(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+)\Z",
    re.IGNORECASE,
)


def validate_pattern(value: str) -> None:
    """Raise ValidationError for a pattern that RE2 can't compile or that exceeds the limits."""
    problem = pattern_problem(value)
    if problem:
        raise ValidationError(problem)


def target_label_problem(name: str) -> str:
    """Return why Prometheus could not set this label on a target of the hub; empty if it could."""
    if not is_label_name(name):
        return f"“{name}” is not a label name: use letters, digits and _, not starting with a digit."
    if name.startswith("__"):
        return f"“{name}”: labels that start with __ are reserved by Prometheus."
    if name in {"job", "instance"}:
        return f"“{name}” is set by Prometheus itself. Choose another name."
    if name in METRIC_LABELS:
        return (
            f"“{name}” is a label of the metrics themselves, which Prometheus would rename to exported_{name}. "
            "Choose another name."
        )
    return ""


def validate_host(value: str) -> None:
    from ..credentials.endpoints import (
        check_host,  # endpoints reads the settings, which migrations don't need
    )

    check_host(value)


def validate_tenant_id(value: str) -> None:
    if not _TENANT.match(value):
        raise ValidationError(
            "Enter the directory (tenant) ID, a GUID, or one of the directory's domains, like contoso.onmicrosoft.com."
        )


def validate_authority(value: str) -> None:
    from ..credentials.endpoints import AUTHORITIES

    parts = urlsplit(f"https://{value}")
    try:
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    host = parts.hostname or ""
    loopback = settings.HUB_ALLOW_LOOPBACK and (
        host in {"localhost", "127.0.0.1", "::1"} or host.endswith(".localhost")
    )
    if not port_is_fine or parts.netloc != value or "@" in value or not (value in AUTHORITIES or loopback):
        raise ValidationError(
            "Enter the sign-in host of a sovereign cloud, without https:// and path: "
            + ", ".join(AUTHORITIES)
            + "."
        )


def validate_absolute_path(value: str) -> None:
    if not value.startswith("/") or "\0" in value:
        raise ValidationError("Enter an absolute path, starting with /.")


def validate_target_labels(value: Any) -> None:
    if not isinstance(value, dict):
        raise ValidationError("Enter label names and values, for example environment=prod.")
    if len(value) > MAX_NAMESPACE_LABELS:
        raise ValidationError(f"A namespace can have at most {MAX_NAMESPACE_LABELS} labels.")
    for name, text in value.items():
        problem = target_label_problem(str(name))
        if problem:
            raise ValidationError(problem)
        if name in {"team", settings.HUB_NAMESPACE_LABEL}:
            raise ValidationError(f"“{name}” is set by the hub itself. Choose another name.")
        if not isinstance(text, str):
            raise ValidationError(f"The value of “{name}” must be text. Put it in quotes.")
        if len(text) > MAX_LABEL_VALUE_CHARACTERS:
            raise ValidationError(
                f"The value of “{name}” can have at most {MAX_LABEL_VALUE_CHARACTERS:,} characters."
            )


def validate_metric_groups(value: Any) -> None:
    if not isinstance(value, list) or any(group not in GROUPS for group in value):
        raise ValidationError("Choose from: " + ", ".join(GROUPS) + ".")
    if len(set(value)) < len(value):
        raise ValidationError("List each group once.")


def validate_source_labels(value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValidationError("Enter a list of label names, for example name, topic_name.")
    if len(value) > MAX_LABELS_PER_SERIES:
        raise ValidationError(f"List at most {MAX_LABELS_PER_SERIES} labels.")
    for name in value:
        if not is_label_name(name):
            raise ValidationError(f"“{name}” is not a label name: use letters, digits and _.")
