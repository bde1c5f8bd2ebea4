"""The stored configuration as frozen values: what a scrape needs, kept by each process (see keeper.py).

A scrape itself asks the database nothing. All of it is plain data, so that a copy can outlive the process.
"""

import contextlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone

from .keeper import Keeper
from .label_rules import RulesByScope, rules_by_scope, rules_of, usable
from .models import ConfigurationVersion, Credential, Namespace, ScrapeToken, Team
from .outage import OutageCopy
from .prometheus.relabel import Rule
from .secrets import SecretUnavailableError


@dataclass(frozen=True, slots=True)
class CredentialSpec:
    """Everything that makes a live credential; equal specs share one, with its token."""

    kind: str
    secret: str = field(default="", repr=False)
    certificate_password: str = field(default="", repr=False)
    tenant_id: str = ""
    client_id: str = ""
    authority: str = ""
    token_file: str = ""
    # Of the stored one, 0 for one that is tried out: uses of its spare secret are counted under it.
    credential_id: int = 0
    name: str = ""
    team: str = ""  # empty: the platform's


@dataclass(frozen=True, slots=True)
class Limits:
    """A namespace's limits; None means the default of its SKU."""

    requests_per_second: float | None
    burst: int | None
    concurrency: int
    timeout_seconds: float
    cache_seconds: float
    max_age_seconds: float
    max_entities: int


@dataclass(frozen=True, slots=True)
class Target:
    """A namespace as it is scraped."""

    name: str
    team: str
    enabled: bool
    host: str  # as entered; empty: the connection string's own
    credential: CredentialSpec | None
    problem: str  # why there is no usable credential; empty when there is one
    labels: tuple[tuple[str, str], ...]
    include: str
    exclude: str
    groups: frozenset[str]
    limits: Limits
    scrape_interval_seconds: float | None
    scrape_timeout_seconds: float | None
    spare: CredentialSpec | None = None  # shown where the credential is refused
    rules: tuple[Rule, ...] = ()  # label rules in the order in which they apply
    # Of the stored one, 0 for one that is not saved. Another team's can have the name later, but never this.
    namespace_id: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """What a scrape token opens: `scope` says what counts, the team and the list; neither stands for "all"."""

    token_id: int
    name: str
    token_hash: str
    scope: str
    team: str | None  # None: a token of the platform
    namespaces: frozenset[str]  # for the scope `listed` alone
    expires_at: datetime | None

    def opens(self, target: Target) -> bool:
        match self.scope:
            case ScrapeToken.Scope.ALL_TEAMS:
                return True
            case ScrapeToken.Scope.TEAM:
                return self.team == target.team
            case ScrapeToken.Scope.LISTED:
                return target.name in self.namespaces and self.team in (None, target.team)
        return False

    def sees_team(self, team: str) -> bool:
        """Tell whether it is a token of this team or for all teams, which may learn what the team has."""
        match self.scope:
            case ScrapeToken.Scope.ALL_TEAMS:
                return True
            case ScrapeToken.Scope.TEAM | ScrapeToken.Scope.LISTED:
                return self.team == team
        return False


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a credential's secret ends."""

    credential: str
    team: str | None  # None: the platform's
    at: datetime
    slot: str = "active"  # or spare


@dataclass(frozen=True, slots=True)
class Configuration:
    """The whole stored configuration at one version."""

    version: int
    teams: frozenset[str]
    targets: Mapping[str, Target]
    grants: Mapping[str, Grant]  # by token hash
    expiries: tuple[Expiry, ...] = ()
    credentials: frozenset[tuple[str, str]] = (
        frozenset()
    )  # name and team of each; without a team: the platform's

    def grant(self, token: str) -> Grant | None:
        """Return what a token opens, None for an unknown, revoked or expired one."""
        digest = ScrapeToken.hash(token)
        grant = self.grants.get(digest)
        if grant is None or not hmac.compare_digest(grant.token_hash, digest):
            return None
        if grant.expires_at is not None and grant.expires_at <= timezone.now():
            return None
        return grant


def load() -> Configuration:
    """Read the whole configuration from the database, in a number of queries that doesn't grow with it."""
    # Before the rows: a change in between is then seen by the next check.
    version = ConfigurationVersion.read()
    rules = rules_by_scope()
    # Each name is read once: one that is another's by the time of the next query would open that one's namespaces.
    teams = Team.objects.in_bulk()
    names: dict[int, str] = {}
    targets: dict[str, Target] = {}
    for namespace in (
        Namespace.objects.filter(team__in=teams)
        .select_related("credential__team")
        .prefetch_related("credential__grants")
        .order_by("name")
    ):
        namespace.team = teams[namespace.team_id]
        names[namespace.pk] = namespace.name
        targets[namespace.name] = target(namespace, rules)
    grants = {
        token.token_hash: Grant(
            token_id=token.pk,
            name=token.name,
            token_hash=token.token_hash,
            scope=str(token.scope),
            team=teams[token.team_id].name if token.team_id else None,
            namespaces=frozenset(names[each.pk] for each in token.namespaces.all() if each.pk in names),
            expires_at=token.expires_at,
        )
        for token in ScrapeToken.objects.filter(
            Q(team=None) | Q(team__in=teams), revoked_at=None
        ).prefetch_related("namespaces")
    }
    credentials = list(Credential.objects.values_list("name", "team__name", "expires_at", "spare_expires_at"))
    expiries = tuple(
        Expiry(credential=name, team=team, at=at, slot=slot)
        for name, team, *moments in credentials
        for slot, at in zip(("active", "spare"), moments, strict=True)
        if at is not None
    )
    return Configuration(
        version=version,
        teams=frozenset(team.name for team in teams.values()),
        targets=targets,
        grants=grants,
        expiries=expiries,
        credentials=frozenset((name, team or "") for name, team, *_ in credentials),
    )


def target(namespace: Namespace, rules: RulesByScope | None = None) -> Target:
    """Return a stored namespace as it is scraped; it need not be saved, so that a form can be tried out."""
    if rules is None:
        rules = rules_by_scope()
    spec: CredentialSpec | None = None
    spare: CredentialSpec | None = None
    problem = ""
    if namespace.credential is None:
        problem = f"Namespace {namespace.name} has no credential; choose one in the admin."
    else:
        try:
            problem = _credential_problem(namespace)
            spec = None if problem else credential_spec(namespace.credential)
        except SecretUnavailableError as error:
            problem = str(error)
        if spec is not None and namespace.credential.has_secret("spare_secret"):
            # One that can't be had is missed only when the active one is refused; the system checks name it.
            with contextlib.suppress(SecretUnavailableError):
                spare = credential_spec(namespace.credential, "spare_")
    return Target(
        name=namespace.name,
        team=namespace.team.name,
        enabled=namespace.enabled,
        host=namespace.host,
        credential=spec,
        spare=spare,
        problem=problem,
        labels=tuple(sorted(namespace.labels.items())),
        include=namespace.include,
        exclude=namespace.exclude,
        groups=frozenset(namespace.metric_groups),
        limits=Limits(
            requests_per_second=namespace.requests_per_second,
            burst=namespace.burst,
            concurrency=namespace.concurrency,
            timeout_seconds=namespace.timeout_seconds,
            cache_seconds=namespace.cache_seconds,
            max_age_seconds=namespace.max_age_seconds,
            max_entities=namespace.max_entities,
        ),
        scrape_interval_seconds=namespace.scrape_interval_seconds,
        scrape_timeout_seconds=namespace.scrape_timeout_seconds,
        rules=usable(rules_of(namespace, rules)),
        namespace_id=namespace.pk or 0,
    )


def _credential_problem(namespace: Namespace) -> str:
    """Say why a namespace may not use its credential: what allowed it can end after the namespace was saved."""
    try:
        return namespace.credential_problem()
    except ValidationError as error:
        return " ".join(error.messages)


def credential_spec(credential: Credential, slot: str = "") -> CredentialSpec:
    """Return a slot's secret with what goes with it; `slot` is "" or "spare_"."""
    return CredentialSpec(
        kind=credential.kind,
        secret=credential.reveal_secret(slot),
        certificate_password=credential.reveal_certificate_password(slot),
        credential_id=credential.pk or 0,
        name=credential.name,
        team=credential.team.name if credential.team else "",
        tenant_id=credential.tenant_id,
        client_id=credential.client_id,
        authority=credential.authority,
        token_file=credential.token_file,
    )


catalog = Keeper(load, ConfigurationVersion.read, OutageCopy(Configuration))
