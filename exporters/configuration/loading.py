"""Read the stored configuration: all of it, or what changed since a known version."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from ..credentials import references
from ..credentials.encryption import key_ring
from ..models import (
    ConfigurationChange,
    ConfigurationVersion,
    Credential,
    IdentityGrant,
    LabelRule,
    Namespace,
    ScrapeToken,
    Team,
    Version,
)
from .derivation import target
from .label_rules import RuleScope, UsableRules, applying_to, usable_rules
from .loaded import KnownCredential, Loaded, Watched, configuration_of
from .targets import Configuration, Grant, Target

# If more namespaces than this must be derived again, read everything: it costs little more.
_MOST_NAMESPACES = 1_000
# Rows to fetch and decode at a time.
_ROWS = 100

T = TypeVar("T")
Step = Callable[[], None]


def read(known: Loaded | None, step: Step, *, look_at_references: bool) -> Loaded:
    """Return the current configuration: `known` itself if nothing changed.

    Reads only what changed, if possible. `step` is called between rows of a full reload.
    """
    version = ConfigurationVersion.read()
    if known is None or known.ring is not key_ring():
        with _one_state():
            return everything(step)
    outdated = known.outdated_references() if look_at_references else set()
    if version == known.version and not outdated:
        return known
    with _one_state():
        version = ConfigurationVersion.read()
        changes = {} if version == known.version else ConfigurationChange.since(known.version, version)
        if changes is not None:
            changes.setdefault("credential", set()).update(outdated)
            changed = _affected(known, changes)
            if changed is not None:
                return _updated(known, version, changed)
        return everything(step)


def everything(step: Step = lambda: None) -> Loaded:
    """Read the whole configuration, in a fixed number of queries."""
    # Read before the rows, even outside a snapshot of the database: the next check then sees any change in between.
    version = ConfigurationVersion.read()
    ring = key_ring()
    teams = dict(Team.objects.values_list("pk", "name"))
    watched = dict(_watched(Credential.objects.all()))
    targets = dict(_targets(Namespace.objects.all(), teams, usable_rules(), step))
    grants = dict(_grants(ScrapeToken.objects.all(), teams, targets, step))
    credentials = dict(_credentials(Credential.objects.all(), teams, step))
    return Loaded(
        version=version,
        ring=ring,
        configuration=configuration_of(version, teams, targets, grants, credentials),
        teams=teams,
        targets=targets,
        grants=grants,
        credentials=credentials,
        credential_of_grant=dict(IdentityGrant.objects.values_list("pk", "credential")),
        scope_of_rule=_scopes(LabelRule.objects.all()),
        references=watched,
    )


def load() -> Configuration:
    """Read the whole configuration from the database, in a number of queries that doesn't grow with it."""
    return everything().configuration


@contextmanager
def _one_state() -> Iterator[None]:
    """Run all queries in the block on one snapshot of the database, so that no name changes hands in between."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        # Not atomic(), which would wait for writers.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield


@dataclass(slots=True)
class _Affected:
    """The objects to read again (or to drop), by primary key."""

    teams: set[int]
    credentials: set[int]
    namespaces: set[int]
    tokens: set[int]
    identity_grants: set[int]
    rules: set[int]


def _affected(known: Loaded, changes: Mapping[str, set[int]]) -> _Affected | None:
    """Return everything affected by the changes, including the objects' previous and current owners.

    None: so much is affected that everything must be read. An object that starts to refer to another one is itself
    among the changes.
    """
    found = _Affected(
        *(set(changes.get(kind, ())) for kind in ("team", "credential", "namespace", "scrapetoken")),
        *(set(changes.get(kind, ())) for kind in ("identitygrant", "labelrule")),
    )
    teams, own = found.teams, set(found.namespaces)
    if found.identity_grants:
        grants = IdentityGrant.objects.filter(pk__in=found.identity_grants)
        found.credentials.update(grants.values_list("credential", flat=True))
        found.credentials.update(_held(known.credential_of_grant, found.identity_grants))
    if teams:
        found.credentials.update(_keys(Credential.objects.filter(team__in=teams)))
    scopes: set[RuleScope] = set()
    if found.rules:
        scopes.update(_held(known.scope_of_rule, found.rules))
        scopes.update(_scopes(LabelRule.objects.filter(pk__in=found.rules)).values())
    if (None, None) in scopes:
        return None
    ruled = {team for team, namespace in scopes if namespace is None and team is not None}
    found.namespaces.update(namespace for _, namespace in scopes if namespace is not None)
    if found.credentials or teams or ruled:
        if len(found.credentials) > _MOST_NAMESPACES:
            return None
        using = Q(credential__in=found.credentials) | Q(team__in=teams | ruled)
        found.namespaces.update(_keys(Namespace.objects.filter(using)[: _MOST_NAMESPACES + 1]))
    if len(found.namespaces) > _MOST_NAMESPACES:
        return None
    if teams:
        found.tokens.update(_keys(ScrapeToken.objects.filter(team__in=teams)))
    if own:
        found.tokens.update(_keys(ScrapeToken.objects.filter(namespaces__in=own)))
        names = {each.name for each in _held(known.targets, own)}
        found.tokens.update(
            pk for pk, grant in known.grants.items() if not names.isdisjoint(grant.namespaces)
        )
    return found


def _updated(known: Loaded, version: Version, changed: _Affected) -> Loaded:
    teams = _merged(
        known.teams,
        changed.teams,
        Team.objects.filter(pk__in=changed.teams).values_list("pk", "name") if changed.teams else (),
    )
    credentials, watched = known.credentials, known.references
    if changed.credentials:
        rows = Credential.objects.filter(pk__in=changed.credentials)
        watched = _merged(watched, changed.credentials, _watched(rows))
        credentials = _merged(credentials, changed.credentials, _credentials(rows, teams))
    targets, grants = known.targets, known.grants
    if changed.namespaces:
        stored = Namespace.objects.filter(pk__in=changed.namespaces)
        of_teams = stored.values_list("team", flat=True).distinct()
        rules = usable_rules(applying_to(of_teams, changed.namespaces))
        targets = _merged(targets, changed.namespaces, _targets(stored, teams, rules))
    if changed.tokens:
        tokens = ScrapeToken.objects.filter(pk__in=changed.tokens)
        grants = _merged(grants, changed.tokens, _grants(tokens, teams, targets))
    owners, scopes = known.credential_of_grant, known.scope_of_rule
    if changed.identity_grants:
        granted = IdentityGrant.objects.filter(pk__in=changed.identity_grants)
        owners = _merged(owners, changed.identity_grants, granted.values_list("pk", "credential"))
    if changed.rules:
        found = _scopes(LabelRule.objects.filter(pk__in=changed.rules))
        scopes = _merged(scopes, changed.rules, found.items())
    return Loaded(
        version=version,
        ring=known.ring,
        configuration=configuration_of(version, teams, targets, grants, credentials, known),
        teams=teams,
        targets=targets,
        grants=grants,
        credentials=credentials,
        credential_of_grant=owners,
        scope_of_rule=scopes,
        references=watched,
    )


def _targets(
    stored: "QuerySet[Namespace]",
    names: Mapping[int, str],
    rules: UsableRules,
    step: Step = lambda: None,
) -> Iterator[tuple[int, Target]]:
    teams = {pk: Team(pk=pk, name=name) for pk, name in names.items()}
    rows = stored.select_related("credential").prefetch_related("credential__grants").order_by("pk")
    for namespace in rows.iterator(chunk_size=_ROWS):
        step()
        if namespace.team_id not in teams:  # created after the teams were read
            continue
        namespace.team = teams[namespace.team_id]
        credential = namespace.credential
        if credential is not None and credential.team_id in teams:
            credential.team = teams[credential.team_id]
        yield namespace.pk, target(namespace, rules)


def _watched(stored: "QuerySet[Credential]") -> Iterator[tuple[int, Watched]]:
    """Yield the references of credentials. Call it before reading the credentials, so that no change is missed."""
    names = [f"{name}_reference" for name in Credential.SECRET_FIELDS]
    nothing = Q(**{name: {} for name in names})
    for pk, *referred in stored.exclude(nothing).values_list("pk", *names):
        yield (
            pk,
            tuple((each, references.revision(each)) for each in referred if isinstance(each, dict) and each),
        )


def _grants(
    stored: "QuerySet[ScrapeToken]",
    teams: Mapping[int, str],
    targets: Mapping[int, Target],
    step: Step = lambda: None,
) -> Iterator[tuple[int, Grant]]:
    listed: dict[int, list[str]] = {}
    rows = ScrapeToken.namespaces.through._default_manager.filter(scrapetoken__in=stored)
    for token_id, namespace in rows.values_list("scrapetoken", "namespace").iterator(chunk_size=_ROWS):
        step()
        # By primary key: another namespace may have the name by now, and the token must not grant access to that one.
        if namespace in targets:
            listed.setdefault(token_id, []).append(targets[namespace].name)
    for token in stored.filter(revoked_at=None).iterator(chunk_size=_ROWS):
        step()
        if token.team_id is not None and token.team_id not in teams:
            continue
        yield (
            token.pk,
            Grant(
                token_id=token.pk,
                name=token.name,
                token_hash=token.token_hash,
                scope=str(token.scope),
                team=teams[token.team_id] if token.team_id is not None else None,
                namespaces=frozenset(listed.get(token.pk, ())),
                expires_at=token.expires_at,
            ),
        )


def _credentials(
    stored: "QuerySet[Credential]", teams: Mapping[int, str], step: Step = lambda: None
) -> Iterator[tuple[int, KnownCredential]]:
    rows = stored.values_list("pk", "name", "team", "expires_at", "spare_expires_at")
    for pk, name, team, *ends in rows.iterator(chunk_size=_ROWS):
        step()
        if team is None or team in teams:
            yield pk, KnownCredential(name, teams[team] if team is not None else None, *ends)


def _scopes(stored: "QuerySet[LabelRule]") -> dict[int, RuleScope]:
    return {pk: (team, namespace) for pk, team, namespace in stored.values_list("pk", "team", "namespace")}


def _keys(stored: "QuerySet[Any]") -> Iterable[int]:
    return stored.values_list("pk", flat=True)


def _held(known: Mapping[int, T], keys: Collection[int]) -> list[T]:
    return [known[key] for key in keys if key in known]


def _merged(
    known: Mapping[int, T], changed: Iterable[int], found: Iterable[tuple[int, T]]
) -> Mapping[int, T]:
    """Return `known` updated with `found`; changed objects that were not found are removed."""
    fresh = dict(found)
    if not fresh and not any(key in known for key in changed):
        return known
    merged = {**known, **fresh}
    for key in changed:
        if key not in fresh:
            merged.pop(key, None)
    return merged
