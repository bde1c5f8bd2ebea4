"""The stored configuration as frozen values: everything that a scrape needs.

All of it is plain data, so that a copy on disk can outlive the process.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from ..models import ScrapeToken
from ..prometheus.relabel import Rule
from ..servicebus.connection import ConnectionString, Endpoint
from ..servicebus.entities import Failure

# The part of Prometheus's timeout that is kept for rendering and sending the response.
RESERVE_SECONDS = 0.5
# Prometheus's default.
_SCRAPE_TIMEOUT_SECONDS = 10.0
_MINIMUM_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class CredentialSpec:
    """Everything needed to create a live credential. Equal specs share one, along with its token."""

    kind: str
    secret: str = field(default="", repr=False)
    connection: ConnectionString | None = None  # the parsed secret, if it is a valid connection string
    certificate_password: str = field(default="", repr=False)
    tenant_id: str = ""
    client_id: str = ""
    authority: str = ""
    token_file: str = ""
    # Primary key of the stored credential; 0 in a test of an unsaved one. Identifies the credential when a use of its
    # spare secret is counted.
    credential_id: int = 0
    name: str = ""
    team: str = ""  # empty: a platform credential


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
    """A namespace, ready to scrape, with everything resolved: no later step of a scrape parses a host or a secret."""

    name: str
    team: str
    enabled: bool
    host: str  # as entered; empty: the connection string's own
    endpoint: Endpoint | None  # None if unknown; `problem` then says why
    credential: CredentialSpec | None
    problem: Failure | None  # why the namespace can't be read
    labels: tuple[tuple[str, str], ...]
    include: str
    exclude: str
    groups: frozenset[str]
    limits: Limits
    scrape_interval_seconds: float | None
    scrape_timeout_seconds: float | None
    spare: CredentialSpec | None = None  # used if the credential is refused
    rules: tuple[Rule, ...] = ()  # label rules in the order they apply
    # Primary key; 0 if not saved. Another team can reuse the name later, but never this key.
    namespace_id: int = 0

    @property
    def connection(self) -> ConnectionString | None:
        """The connection string, if the credential is one."""
        return self.credential.connection if self.credential is not None else None

    def time_allowed(self, timeout: float | None) -> float:
        """Return the seconds that a scrape may take: the timeout less the reserve, up to the namespace's limit.

        None is Prometheus's default timeout.
        """
        if timeout is None:
            timeout = _SCRAPE_TIMEOUT_SECONDS
        # A timeout near the reserve would leave no time to read, so allow at least half of the timeout.
        allowed = max(timeout - RESERVE_SECONDS, timeout / 2)
        return max(_MINIMUM_SECONDS, min(allowed, self.limits.timeout_seconds))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a scrape token grants access to, as decided by `scope`. An empty team or list never means "all"."""

    token_id: int
    name: str
    token_hash: str
    scope: str
    team: str | None  # None: a platform token
    namespaces: frozenset[str]  # only for the scope `listed`
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
        """Return whether the token may see what this team has: it belongs to the team, or is for all teams."""
        match self.scope:
            case ScrapeToken.Scope.ALL_TEAMS:
                return True
            case ScrapeToken.Scope.TEAM | ScrapeToken.Scope.LISTED:
                return self.team == team
        return False


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a secret of a credential expires."""

    credential: str
    team: str | None  # None: a platform credential
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
    )  # name and team of each; empty team: a platform credential

    def grant(self, token: str) -> Grant | None:
        """Return the token's grant, or None if it is unknown, revoked or expired."""
        digest = ScrapeToken.hash(token)
        grant = self.grants.get(digest)
        if grant is None or not hmac.compare_digest(grant.token_hash, digest):
            return None
        if grant.expires_at is not None and grant.expires_at <= timezone.now():
            return None
        return grant
