"""The keys of hub.yaml: one table per kind of object, used to read, write and compare."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

from django.db.models import Model
from django.utils.dateparse import parse_date, parse_datetime

from ..models import Credential, LabelRule, Namespace, ScrapeToken, Source, Team
from .document import BadValueError, Document, Node

_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is: in an environment variable, a file, or (`stored`) the database."""

    kind: str
    place: str
    node: Node | None = field(default=None, compare=False, repr=False)

    @property
    def reference(self) -> dict[str, str]:
        return {} if self.kind == "stored" else {self.kind: self.place}


def texts(node: Node) -> list[str]:
    return [item.text() for item in node.sequence()]


def text_mapping(node: Node) -> dict[str, str]:
    return {name: value.text() for name, value in node.mapping().items()}


def moment(node: Node) -> datetime:
    """Read a date or time; UTC if it has no offset."""
    written = node.text()
    try:
        value = parse_datetime(written)
        day = parse_date(written) if value is None else None
    except ValueError:  # well formed, but there is no such day
        value = day = None
    if isinstance(day, date):
        value = datetime.combine(day, time())
    if value is None:
        raise BadValueError(node, "Expected a date or time, for example 2026-12-31 or 2026-12-31T12:00:00Z.")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def source(node: Node) -> str:
    if node.text() not in Source.values:
        raise BadValueError(node, "Use file (read-only in the admin) or admin (editable there).")
    return node.text()


def secret(node: Node) -> SecretReference:
    """Read a reference; reject a literal secret without repeating it in the message."""
    if not node.is_mapping:
        raise BadValueError(
            node,
            "This file can't contain secrets. Use a reference: {env: VARIABLE} or {file: /path}.",
        )
    before = len(node.document.problems)
    keys = node.mapping({"env", "file", "stored"})
    if len(node.document.problems) > before:
        return SecretReference("stored", "")  # already reported; nothing from this file is applied
    if len(keys) != 1:
        raise BadValueError(node, "Use exactly one of env, file and stored.")
    kind, place = next(iter(keys.items()))
    written = place.text()
    if kind == "file" and not written.startswith("/"):
        raise BadValueError(place, "Enter an absolute path, starting with /.")
    if kind == "env" and not _VARIABLE.fullmatch(written):
        raise BadValueError(
            place, "Enter the variable's name: letters, digits and _, not starting with a digit."
        )
    return SecretReference(kind, written, node)


def grants(node: Node) -> list[dict[str, Any]]:
    """Read the teams that a platform credential is granted to, each with its hosts."""
    found = []
    for item in node.sequence():
        keys = item.mapping({"team", "hosts"})
        if set(keys) != {"team", "hosts"}:
            raise BadValueError(
                item, "A grant needs a team and hosts: {team: payments, hosts: [host.example]}."
            )
        found.append({"team": keys["team"].text(), "hosts": texts(keys["hosts"])})
    return found


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an object: its spelling (dotted if nested), the attribute that it sets, and its reader."""

    name: str
    attribute: str
    read: Callable[[Node], Any]
    null_is_absent: bool = True  # `host:` without a value means no host


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object."""

    section: str
    word: str
    model: type[Model]
    keys: tuple[Key, ...]


def _same(names: str, read: Callable[[Node], Any]) -> tuple[Key, ...]:
    return tuple(Key(name, name, read) for name in names.split())


def _of_rule(names: str, read: Callable[[Node], Any], null: Any) -> tuple[Key, ...]:
    """Return keys of a relabel_config. As in Prometheus, null is an empty value there, not the key's default."""

    def read_or_null(node: Node) -> Any:
        return null if node.is_null else read(node)

    return tuple(Key(name, name, read_or_null, null_is_absent=False) for name in names.split())


def _action(node: Node) -> str:
    return node.text().lower()  # Prometheus accepts Replace as well as replace


_SOURCE = Key("source", "source", source)

KINDS = (
    Kind("teams", "team", Team, (*_same("name description", Node.text), _SOURCE)),
    Kind(
        "credentials",
        "credential",
        Credential,
        (
            *_same("name team kind", Node.text),
            *_same("secret certificate_password spare_secret spare_certificate_password", secret),
            *_same("tenant_id client_id authority token_file", Node.text),
            *_same("expires_at spare_expires_at", moment),
            Key("hosts", "hosts", texts),
            Key("grants", "grants", grants),
            _SOURCE,
        ),
    ),
    Kind(
        "namespaces",
        "namespace",
        Namespace,
        (
            *_same("name team host credential", Node.text),
            Key("enabled", "enabled", Node.boolean),
            Key("labels", "labels", text_mapping),
            *_same("include exclude", Node.text),
            Key("metrics", "metric_groups", texts),
            Key("limits.requests_per_second", "requests_per_second", Node.number),
            Key("limits.burst", "burst", Node.integer),
            Key("limits.concurrency", "concurrency", Node.integer),
            Key("limits.timeout_seconds", "timeout_seconds", Node.number),
            Key("limits.cache_seconds", "cache_seconds", Node.number),
            Key("limits.max_age_seconds", "max_age_seconds", Node.number),
            Key("limits.max_entities", "max_entities", Node.integer),
            Key("scrape.interval_seconds", "scrape_interval_seconds", Node.number),
            Key("scrape.timeout_seconds", "scrape_timeout_seconds", Node.number),
            _SOURCE,
        ),
    ),
    Kind(
        "label_rules",
        "label rule",
        LabelRule,
        (
            *_same("team namespace", Node.text),
            *_of_rule("source_labels", texts, []),
            *_of_rule("separator regex target_label replacement", Node.text, ""),
            *_of_rule("modulus", Node.integer, 0),
            Key("action", "action", _action, null_is_absent=False),  # null is refused, as in Prometheus
            _SOURCE,
        ),
    ),
    Kind(
        "tokens",
        "token",
        ScrapeToken,
        (
            *_same("name team", Node.text),
            Key("scope", "scope", Node.text),
            Key("namespaces", "namespaces", texts),
            Key("token", "token", secret),
            Key("expires_at", "expires_at", moment),
            Key("revoked", "revoked", Node.boolean),
            _SOURCE,
        ),
    ),
)
KIND_OF: Mapping[type[Model], Kind] = {kind.model: kind for kind in KINDS}


@dataclass(slots=True)
class Entry:
    """An object as the file describes it: values by key, only for the keys that it has."""

    kind: Kind
    node: Node
    values: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    faulty: bool = False  # part of it could not be read

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def report(self, name: str, message: str) -> None:
        """Report a problem at a key, or at the object if the file omits the key."""
        self.faulty = True
        if name in self.nodes:
            self.nodes[name].report(message)
        else:
            path = f"{self.node.path}.{name}" if name else self.node.path
            self.node.document.note(self.node.at(path).problem(message))


def read(document: Document, text: str) -> dict[str, list[Entry]]:
    """Return the file's objects by section; report problems in the document."""
    root = document.parse(text)
    return document.within_bounds(lambda: _sections(document, root)) or {}


def _sections(document: Document, root: Node | None) -> dict[str, list[Entry]]:
    names = {kind.section for kind in KINDS}
    sections = document.attempt(lambda node: node.mapping(names), root) if root else None
    return {
        kind.section: _entries(document, kind, sections[kind.section])
        for kind in KINDS
        if sections and kind.section in sections and not sections[kind.section].is_null
    }


def _entries(document: Document, kind: Kind, section: Node) -> list[Entry]:
    nodes = document.attempt(Node.sequence, section) or []
    return [_entry(document, kind, node) for node in nodes]


def _entry(document: Document, kind: Kind, node: Node) -> Entry:
    before = len(document.problems)
    entry = Entry(kind, node)
    for name, value in _flat(document, kind, node).items():
        key = next(key for key in kind.keys if key.name == name)
        if not (key.null_is_absent and value.is_null):
            entry.nodes[name] = value
            entry.values[name] = document.attempt(key.read, value)
    entry.faulty = len(document.problems) > before
    return entry


def _flat(document: Document, kind: Kind, node: Node) -> dict[str, Node]:
    """Return an object's values under dotted names: limits.concurrency instead of nested mappings."""
    names = [key.name for key in kind.keys]
    groups: dict[str, list[str]] = {}
    for name in names:
        group, dot, member = name.partition(".")
        if dot:
            groups.setdefault(group, []).append(member)
    top = {name for name in names if "." not in name} | set(groups)
    flat: dict[str, Node] = {}
    for name, value in (document.attempt(lambda node: node.mapping(top), node) or {}).items():
        if name not in groups:
            flat[name] = value
        elif not value.is_null:
            members = document.attempt(lambda node, name=name: node.mapping(groups[name]), value) or {}  # type: ignore[misc]
            flat |= {f"{name}.{member}": child for member, child in members.items()}
    return flat
