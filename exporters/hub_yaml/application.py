"""Apply a file to the stored configuration, in memory."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import ForeignKey, Model

from ..credentials.encryption import SecretUnavailableError
from ..credentials.endpoints import check_hosts
from ..models import Credential, IdentityGrant, LabelRule, Namespace, ScrapeToken, SecretSlot, Source, Team
from . import secret_values
from .changes import Change, difference, name_of, snapshot
from .draft import Draft
from .grants import entry_grants, set_grants
from .pruning import prune
from .rules import match, positions
from .schema import KINDS, Entry, Kind
from .stored import NAMED_IN_A_TEAM, remember, write


class Application:
    """Applies the file's objects kind by kind, so that later kinds can refer to earlier ones.

    Changes everything in memory first and checks it afterwards: a credential and its namespace may change together, and
    each alone would conflict with the other's old state.
    """

    def __init__(self, draft: Draft, sections: dict[str, list[Entry]]) -> None:
        self.draft = draft
        self.sections = sections
        self._applied: list[tuple[Entry, Any]] = []

    def run(self, with_prune: bool) -> None:
        for kind in KINDS:
            entries = self.sections.get(kind.section, [])
            if kind.model is LabelRule:
                self._rules(entries)
            else:
                self._named(kind, entries)
        self.draft.stored.note_users()
        for entry, item in self._applied:
            self._check(entry, item)
        if not self.draft.document.problems:
            named = {(type(item), item.pk) for _, item in self._applied}
            prune(self.draft, named, with_prune)

    # Objects with a name
    def _named(self, kind: Kind, entries: Iterable[Entry]) -> None:
        seen: dict[tuple[str, str], Entry] = {}
        for entry in entries:
            name = entry.get("name") or ""
            identity = (entry.get("team") or "" if kind.model in NAMED_IN_A_TEAM else "", name)
            if not name and not entry.faulty:
                entry.report("name", "Every " + kind.word + " needs a name.")
            if name and identity in seen:
                first = seen[identity].nodes["name"].problem("").line
                entry.report("name", f"Line {first} has another {kind.word} with this name.")
                continue
            seen[identity] = entry
            if not entry.faulty:
                self._save_named(kind, entry)
            if entry.faulty:
                self.draft.faulty.add((kind.section, name))

    def _save_named(self, kind: Kind, entry: Entry) -> None:
        item: Any = self._stored(kind, entry) or kind.model()
        before = snapshot(item)
        self._fill(entry, item)
        namespaces = self._token_namespaces(entry, item) if isinstance(item, ScrapeToken) else None
        if entry.faulty or not self._fields_are_legal(entry, item):
            return
        after = snapshot(item)
        if namespaces is not None:
            after["namespaces"] = sorted(namespace.name for namespace in namespaces)
        if isinstance(item, Credential):
            granted = entry_grants(self.draft, entry)
            if entry.faulty:
                return
            after["grants"] = [{"team": team.name, "hosts": hosts} for team, hosts in granted]
        self._save(entry, item, before, after)
        if isinstance(item, Credential) and after["grants"] != before["grants"]:
            grants = [IdentityGrant(credential=item, team=team, hosts=hosts) for team, hosts in granted]
            remember(item, "grants", grants)
            self.draft.writes.append(partial(set_grants, item, granted, self.draft.reason))
        if (
            isinstance(item, ScrapeToken)
            and namespaces is not None
            and after["namespaces"] != before["namespaces"]
        ):
            remember(item, "namespaces", namespaces)
            self.draft.writes.append(partial(_set_namespaces, item, namespaces))

    def _stored(self, kind: Kind, entry: Entry) -> Any:
        team = entry.get("team") or "" if kind.model in NAMED_IN_A_TEAM else ""
        return self.draft.stored.named(kind.model, entry.get("name") or "", team)

    def _fill(self, entry: Entry, item: Any) -> None:
        """Set every attribute from the file; attributes that the file omits return to their defaults."""
        fresh: Any = entry.kind.model()
        for key in entry.kind.keys:
            value = entry.get(key.name)
            match key.attribute:
                case "team" | "namespace" | "credential":
                    setattr(item, key.attribute, self._related(entry, key.name))
                case name if name in Credential.SECRET_FIELDS:
                    secret_values.set_secret(self.draft, entry, item, name)
                case "token":
                    secret_values.set_token(self.draft, entry, item)
                case "revoked":
                    secret_values.set_revoked(self.draft, entry, item)
                case "scope":
                    item.scope = self._scope(entry, item)
                case "hosts":
                    item.hosts = self._hosts(entry)
                case "namespaces" | "grants":
                    pass  # set once the object has a row
                case "source":
                    item.source = value or Source.FILE
                case attribute:
                    setattr(item, attribute, getattr(fresh, attribute) if value is None else value)
        if isinstance(item, Namespace) and item.team_id is None and not entry.faulty:
            entry.report("team", "A namespace must belong to a team. Name the team here.")
        if isinstance(item, Credential) and not entry.faulty:
            try:
                for slot in SecretSlot:
                    item.take_expiry(slot)
            except (SecretUnavailableError, ValidationError):
                return  # the later check reports it

    def _related(self, entry: Entry, key: str) -> Any:
        name = entry.get(key)
        return self.draft.find(entry, key, name) if name else None

    def _hosts(self, entry: Entry) -> list[str]:
        try:
            return check_hosts(entry.get("hosts") or [])
        except ValidationError as error:
            entry.report("hosts", " ".join(error.messages))
            return []

    def _scope(self, entry: Entry, item: ScrapeToken) -> str:
        """Return the token's scope from the file. Omitting it is an error: the token would have no access."""
        item.scope = entry.get("scope") or ""
        if item.scope not in ScrapeToken.Scope.values:
            entry.report(
                "scope",
                "Give the token's scope: `scope: team` (all namespaces of its team), "
                "`scope: all_teams` (those of all teams), or `scope: listed` (those under `namespaces`).",
            )
        elif entry.get("namespaces") and item.scope != ScrapeToken.Scope.LISTED:
            entry.report("namespaces", "Remove this, or use `scope: listed` to allow only these namespaces.")
        elif not entry.faulty:
            self._report(entry, item.clean_scope)
        return item.scope

    def _token_namespaces(self, entry: Entry, item: ScrapeToken) -> list[Namespace]:
        found = [
            self.draft.find(entry, "namespaces", name)
            for name in dict.fromkeys(entry.get("namespaces") or [])
        ]
        for namespace in found:
            if namespace is not None and item.team is not None and namespace.team_id != item.team_id:
                entry.report(
                    "namespaces",
                    f"Namespace “{namespace}” belongs to team “{namespace.team}”, not to “{item.team}”.",
                )
        return [namespace for namespace in found if namespace is not None]

    # Label rules, which have no name
    def _rules(self, entries: Iterable[Entry]) -> None:
        scopes: dict[tuple[Team | None, Namespace | None], list[tuple[Entry, LabelRule]]] = {}
        for entry in entries:
            wanted = LabelRule()
            if entry.faulty:
                continue
            self._fill(entry, wanted)
            if wanted.namespace is not None and wanted.team_id not in (None, wanted.namespace.team_id):
                entry.report(
                    "namespace", f"Namespace “{wanted.namespace}” belongs to team “{wanted.namespace.team}”."
                )
            if wanted.namespace is not None and wanted.team is None:
                wanted.team = wanted.namespace.team
            if not entry.faulty:
                scopes.setdefault((wanted.team, wanted.namespace), []).append((entry, wanted))
        for (team, namespace), pairs in scopes.items():
            stored = self.draft.stored.rules(team, namespace)
            found = match(stored, [wanted for _, wanted in pairs])
            places = positions(found)
            for (entry, wanted), existing, position in zip(pairs, found, places, strict=True):
                self._save_rule(entry, wanted, existing, position)
            problem = LabelRule.problem_together(self.draft.stored.rules(team, namespace))
            if problem:
                pairs[-1][0].report("", problem)

    def _save_rule(self, entry: Entry, wanted: LabelRule, existing: LabelRule | None, position: int) -> None:
        item = existing or wanted
        before = {**snapshot(item), "position": item.position} if existing else snapshot(LabelRule())
        if existing is not None:
            self._fill(entry, item)
            item.team, item.namespace = wanted.team, wanted.namespace
        item.position = position
        if self._fields_are_legal(entry, item):
            self._save(
                entry, item, before, {**snapshot(item), "position": position} if existing else snapshot(item)
            )

    def _save(self, entry: Entry, item: Any, before: dict[str, Any], after: dict[str, Any]) -> None:
        fields = difference(before, after)
        if item.pk is None or fields:
            action = "changed" if item.pk else "created"
            item._change_reason = self.draft.reason
            if item.pk is None:
                self.draft.stored.add(item)
            self.draft.writes.append(partial(write, item))
            self.draft.changes.append(Change(action, entry.kind.word, name_of(item), fields))
        self._applied.append((entry, item))

    def _fields_are_legal(self, entry: Entry, item: Any) -> bool:
        """Validate each field before the database does, which could reject a text that is too long."""
        # Related objects were found by name, and may not have a row yet.
        related = [field.name for field in item._meta.fields if isinstance(field, ForeignKey)]
        return self._report(entry, lambda: item.clean_fields(exclude=related))

    def _check(self, entry: Entry, item: Model) -> None:
        # Unique names need no check: an object with the file's name is the file's object.
        self._report(entry, item.clean)

    def _report(self, entry: Entry, check: Any) -> bool:
        try:
            check()
        except ValidationError as error:
            names = {key.attribute: key.name for key in entry.kind.keys} | {NON_FIELD_ERRORS: ""}
            for attribute, messages in error.message_dict.items():
                entry.report(names.get(attribute, attribute), " ".join(messages))
            return False
        return True


def _set_namespaces(token: ScrapeToken, namespaces: list[Namespace]) -> None:
    token.namespaces.set(namespaces)
