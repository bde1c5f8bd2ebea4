"""The stored configuration as frozen values: what a scrape needs.

All of it is plain data, so that a copy can outlive the process.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from ..models import ScrapeToken
from ..prometheus.relabel import Rule


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
