"""The stored configuration as frozen values: what a scrape needs, read once and kept by each process.

A worker process reads the whole configuration when it changed (a version row tells, at most every HUB_CATALOG_SECONDS)
and goes on from what it has when the database doesn't answer. A scrape itself asks the database nothing.
"""

import hmac
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import close_old_connections, connection
from django.utils import timezone

from .models import ConfigurationVersion, Credential, Namespace, ScrapeToken
from .secrets import SecretUnavailableError

logger = logging.getLogger(__name__)

# References to files can change without the database; rereading everything this often picks that up.
_FULL_RELOAD_SECONDS = 30.0


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


@dataclass(frozen=True, slots=True)
class Grant:
    """What a scrape token opens."""

    token_id: int
    token_hash: str
    team: str | None  # None: all teams
    namespaces: frozenset[str]  # empty: all of the team
    expires_at: datetime | None

    def opens(self, target: Target) -> bool:
        if self.team is not None and self.team != target.team:
            return False
        return not self.namespaces or target.name in self.namespaces


@dataclass(frozen=True, slots=True)
class Configuration:
    """The whole stored configuration at one version."""

    version: int
    targets: Mapping[str, Target]
    grants: Mapping[str, Grant]  # by token hash

    def grant(self, token: str) -> Grant | None:
        """Return what a token opens, None for an unknown, revoked or expired one."""
        digest = ScrapeToken.hash(token)
        grant = self.grants.get(digest)
        if grant is None or not hmac.compare_digest(grant.token_hash, digest):
            return None
        if grant.expires_at is not None and grant.expires_at <= timezone.now():
            return None
        return grant


class Catalog:
    """Keeps a process's Configuration fresh, without ever letting a scrape wait for a database that is gone."""

    def __init__(self) -> None:
        self._configuration: Configuration | None = None
        self._checked_at = 0.0  # monotonic: when the version was last known to be right
        self._loaded_at = 0.0
        self._dirty = False
        self._failing = False
        self._lock = threading.Lock()
        self._refresher: threading.Thread | None = None
        self._pid = os.getpid()

    def current(self) -> Configuration:
        """Return the configuration; raise the database's error only when there has never been one."""
        if self._pid != os.getpid():  # locks and threads don't survive a fork
            self._lock, self._refresher, self._pid = threading.Lock(), None, os.getpid()
        configuration = self._configuration
        if configuration is None or self._dirty:
            with self._lock:
                if self._configuration is None:
                    self._load()
                elif self._dirty:
                    self._try_refresh()
                configuration = self._configuration
        elif time.monotonic() - self._checked_at > settings.HUB_CATALOG_SECONDS:
            self._refresh_in_background()
        assert configuration is not None  # noqa: S101 - _load either sets it or raises
        return configuration

    def invalidate(self) -> None:
        """Read anew before the next answer: this process has changed the configuration itself."""
        self._dirty = True

    def forget(self) -> None:
        """Drop the configuration; the next call reads it."""
        self._configuration = None

    def age_seconds(self) -> float:
        """Return for how long the configuration could not be held against the database."""
        return time.monotonic() - self._checked_at if self._configuration else 0.0

    def _refresh_in_background(self) -> None:
        with self._lock:
            if self._refresher is None or not self._refresher.is_alive():
                self._refresher = threading.Thread(target=self._background, name="catalog", daemon=True)
                self._refresher.start()

    def _background(self) -> None:
        close_old_connections()
        try:
            self._try_refresh()
        finally:
            connection.close()

    def _try_refresh(self) -> None:
        try:
            self._refresh()
        except Exception as error:  # whatever the database driver raises: the last configuration goes on
            if not self._failing:
                logger.error("The configuration can't be read; going on with the last one: %s", error)
            self._failing = True
            return
        if self._failing:
            logger.info("The configuration can be read again.")
        self._failing = False

    def _refresh(self) -> None:
        now = time.monotonic()
        unchanged = (
            not self._dirty
            and self._configuration is not None
            and now - self._loaded_at < _FULL_RELOAD_SECONDS
            and ConfigurationVersion.read() == self._configuration.version
        )
        if unchanged:
            self._checked_at = now
        else:
            self._load()

    def _load(self) -> None:
        self._dirty = False
        now = time.monotonic()
        try:
            configuration = load()
        except Exception:
            self._dirty = self._configuration is not None
            raise
        self._configuration = configuration
        self._loaded_at = self._checked_at = now


def load() -> Configuration:
    """Read the whole configuration from the database, in a number of queries that doesn't grow with it."""
    version = (
        ConfigurationVersion.read()
    )  # before the rows: a change in between is then seen by the next check
    targets = {
        namespace.name: target(namespace)
        for namespace in Namespace.objects.select_related("team", "credential").order_by("name")
    }
    grants = {
        token.token_hash: Grant(
            token_id=token.pk,
            token_hash=token.token_hash,
            team=token.team.name if token.team else None,
            namespaces=frozenset(namespace.name for namespace in token.namespaces.all()),
            expires_at=token.expires_at,
        )
        for token in ScrapeToken.objects.filter(revoked_at=None)
        .select_related("team")
        .prefetch_related("namespaces")
    }
    return Configuration(version=version, targets=targets, grants=grants)


def target(namespace: Namespace) -> Target:
    """Return a stored namespace as it is scraped; it need not be saved, so that a form can be tried out."""
    spec: CredentialSpec | None = None
    problem = ""
    if namespace.credential is None:
        problem = f"Namespace {namespace.name} has no credential; choose one in the admin."
    else:
        try:
            spec = credential_spec(namespace.credential)
        except SecretUnavailableError as error:
            problem = str(error)
    return Target(
        name=namespace.name,
        team=namespace.team.name,
        enabled=namespace.enabled,
        host=namespace.host,
        credential=spec,
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
    )


def credential_spec(credential: Credential) -> CredentialSpec:
    return CredentialSpec(
        kind=credential.kind,
        secret=credential.reveal_secret(),
        certificate_password=credential.reveal_certificate_password(),
        tenant_id=credential.tenant_id,
        client_id=credential.client_id,
        authority=credential.authority,
        token_file=credential.token_file,
    )


catalog = Catalog()
