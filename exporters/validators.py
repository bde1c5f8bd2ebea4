"""What the fields of the stored configuration accept; each message says how to put it right."""

import re
from typing import Any

import re2
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

METRIC_GROUPS = ("counts", "times", "state", "settings", "info", "namespace")

slug_validator = RegexValidator(
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z",
    "Use lower-case letters, digits and hyphens, beginning and ending with a letter or digit.",
)

# What Prometheus allows as the name of a label that a user sets.
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


def validate_entity_pattern(value: str) -> None:
    """Refuse what RE2 can't compile, in RE2's own words."""
    options = re2.Options()
    options.log_errors = False  # RE2 would print to standard error
    try:
        re2.compile(value, options)
    except re2.error as error:
        message = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ValidationError(f"RE2 refuses this pattern: {message}.") from None


def validate_host(value: str) -> None:
    from .endpoints import check_host  # the platform's settings decide which hosts are allowed

    check_host(value)


def validate_target_labels(value: Any) -> None:
    if not isinstance(value, dict):
        raise ValidationError(
            'Give a JSON object of label names and values, for example {"environment": "prod"}.'
        )
    for name, text in value.items():
        if not _LABEL_NAME.match(name):
            raise ValidationError(
                f"“{name}” is not a label name: use letters, digits and _, not starting with a digit."
            )
        if name.startswith("__"):
            raise ValidationError(f"“{name}”: labels that start with __ are reserved by Prometheus.")
        if name in {"job", "instance"}:
            raise ValidationError(f"“{name}” is set by Prometheus itself; choose another name.")
        if not isinstance(text, str):
            raise ValidationError(f"The value of “{name}” must be text; write it in quotes.")


def validate_metric_groups(value: Any) -> None:
    if not isinstance(value, list) or any(group not in METRIC_GROUPS for group in value):
        raise ValidationError("Choose from: " + ", ".join(METRIC_GROUPS) + ".")
