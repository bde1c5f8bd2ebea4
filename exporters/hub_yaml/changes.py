"""The changes that applying hub.yaml makes, in the file's own terms."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Model

from ..models import Credential, LabelRule, ScrapeToken
from .export import flat


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A key's old and new value as text; secrets only as references and fingerprints."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Change:
    """One object to create, change or delete."""

    action: str
    kind: str
    name: str
    fields: tuple[FieldChange, ...] = ()

    def __str__(self) -> str:
        sign = {"created": "+", "changed": "~", "deleted": "-"}[self.action]
        lines = [f"{sign} {self.kind} {self.name}"]
        arrow = {field: "" if self.action == "created" else f"{field.old} -> " for field in self.fields}
        lines += [f"    {field.name}: {arrow[field]}{field.new}" for field in self.fields]
        return "\n".join(lines)


def show(value: Any) -> str:
    """Return a value in the notation of the diff."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {show(text)}" for name, text in sorted(value.items())) + "}"
    if isinstance(value, list):
        return (
            "["
            + ", ".join(show(each) if isinstance(each, dict | list) else str(each) for each in value)
            + "]"
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or value == "":
        return "(none)"
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def snapshot(item: Model) -> dict[str, Any]:
    """Return everything about an object that counts as a change: its values, and the fingerprints of its secrets."""
    values = flat(item)
    if isinstance(item, Credential):
        for name in Credential.SECRET_FIELDS:
            values[f"{name}'s fingerprint"] = getattr(item, f"{name}_fingerprint")
    if isinstance(item, ScrapeToken):
        values["token's fingerprint"] = item.fingerprint
    return values


def difference(before: dict[str, Any], after: dict[str, Any]) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(name, show(before[name]), show(value))
        for name, value in after.items()
        if value != before[name]
    )


def name_of(item: Any) -> str:
    """Return an object's name in the diff."""
    if isinstance(item, LabelRule):
        return f"“{item}” of {item.scope}"
    if isinstance(item, ScrapeToken) and item.team is not None:
        return f"{item.team.name}/{item.name}"
    return str(item.name)
