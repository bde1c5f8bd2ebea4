"""Export the database as hub.yaml."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import yaml
from django.db.models import Model

from ..models import Credential, LabelRule, Namespace, ScrapeToken, Team
from .schema import KIND_OF, KINDS

_HEADER = """\
# The configuration of a Service Bus exporter hub; `manage.py apply_config` applies it.
# `stored` represents a secret that was entered in the admin. Applying it keeps the secret that the hub has stored.
# `source: admin` keeps an object editable in the admin. Without it, the object comes from this file and is
# read-only.
"""


class Dumper(yaml.CSafeDumper):
    """Writes NEL (U+0085) escaped: PyYAML leaves it as is, and YAML reads it as a line break."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "\x85" in text else None
    ),
)


def flat(item: Model) -> dict[str, Any]:
    """Return an object's values with the keys of hub.yaml, dotted if nested, including defaults."""
    return {key.name: _value(item, key.attribute) for key in KIND_OF[type(item)].keys}


def _value(item: Any, attribute: str) -> Any:
    match item, attribute:
        case Credential(), name if name in Credential.SECRET_FIELDS:
            mark = getattr(item, f"{name}_fingerprint")
            return getattr(item, f"{name}_reference") or ({"stored": mark} if item.has_secret(name) else {})
        case Credential(), "grants":
            granted = item.grants.all() if item.pk else ()
            told = [{"team": grant.team.name, "hosts": grant.hosts} for grant in granted]
            return sorted(told, key=lambda grant: str(grant["team"]))
        case Credential(), "expires_at" | "spare_expires_at" if item.kind != Credential.Kind.CLIENT_SECRET:
            return None  # read from the secret itself
        case ScrapeToken(), "token":
            return item.token_reference or ({"stored": item.fingerprint} if item.token_hash else {})
        case ScrapeToken(), "revoked":
            return item.revoked_at is not None
        case ScrapeToken(), "namespaces":
            # A namespace that moved to another team stays listed without effect, but a file can't name it.
            return sorted(namespace.name for namespace in item.listed()) if item.pk else []
        case LabelRule() | Credential() | Namespace() | ScrapeToken(), "team" | "namespace" | "credential":
            # A new object may have no related object yet, and reading the attribute would raise.
            related = getattr(item, attribute) if getattr(item, f"{attribute}_id") else None
            return related.name if related else ""
    value = getattr(item, attribute)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, str) else value  # a choice is a subclass of str


def export() -> str:
    """Return the whole configuration as hub.yaml, with secrets only as references."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for kind in KINDS:
        defaults = flat(kind.model())
        entries = [_nested(flat(item), defaults) for item in _items(kind.model)]
        if entries:
            sections[kind.section] = entries
    if not sections:
        return _HEADER
    return _HEADER + yaml.dump(sections, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


def _items(model: type[Model]) -> Iterable[Model]:
    if model is Team:
        return Team.objects.all()
    if model is Credential:
        credentials = Credential.objects.select_related("team").prefetch_related("grants__team")
        return credentials.order_by("team__name", "name")
    if model is Namespace:
        return Namespace.objects.select_related("team", "credential")
    if model is LabelRule:
        return LabelRule.objects.select_related("team", "namespace")
    return ScrapeToken.objects.select_related("team").prefetch_related("namespaces")


def _nested(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return an object in the form of the file: groups as mappings, without values at their defaults."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        if name == "source":
            if value == "admin":  # by default, the file owns its objects
                nested[name] = value
        elif name in {"name", "kind"} or value != defaults[name]:
            group, dot, member = name.partition(".")
            if dot:
                nested.setdefault(group, {})[member] = value
            else:
                nested[name] = value
    return nested
