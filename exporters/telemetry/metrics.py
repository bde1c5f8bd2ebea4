"""The hub's own metrics, summed over its worker processes.

gunicorn's workers share them through prometheus_client's multiprocess mode: hub/gunicorn.py sets the folder before
anything imports this module. A process without such a folder (a management command, a test) doesn't share its metrics.
"""

import os
import platform
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..configuration.reloader import reloader
from ..configuration.targets import Configuration, Grant
from .multiprocess import Shared
from .processes import Processes

REGISTRY = CollectorRegistry()

SCRAPES = Counter(
    "hub_scrapes",
    "Total number of scrapes by outcome (success, partial, failure, refused).",
    ["outcome"],
    registry=REGISTRY,
)
SCRAPE_DURATION = Histogram(
    "hub_scrape_duration_seconds",
    "Duration of scrapes in seconds, from request to response.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    registry=REGISTRY,
)
SCRAPES_SHARED = Counter(
    "hub_scrapes_shared",
    "Total number of scrapes answered from another scrape's read, by origin (shared: a read in progress, cached: an "
    "earlier read).",
    ["origin"],
    registry=REGISTRY,
)
THROTTLING_EPISODES = Counter(
    "hub_throttling_episodes",
    "Total number of times that Service Bus started to throttle a namespace.",
    registry=REGISTRY,
)
SHARED_STATE_ERRORS = Counter(
    "hub_shared_state_errors",
    "Total number of failures of the shared state for reads and budgets, by store (redis, files). Scrapes continue.",
    ["store"],
    registry=REGISTRY,
)
INTERNAL_ERRORS = Counter(
    "hub_internal_errors",
    "Total number of internal errors (bugs) by location (reading, rendering, background, records, page). The log "
    "has each of them.",
    ["where"],
    registry=REGISTRY,
)
# Start at 0, so that Prometheus sees the first event of each as an increase.
for _where in ("reading", "rendering", "background", "records", "page"):
    INTERNAL_ERRORS.labels(_where)
for _outcome in ("success", "partial", "failure", "refused"):
    SCRAPES.labels(_outcome)
SCRAPES_IN_FLIGHT = Gauge(
    "hub_scrapes_in_flight", "Number of scrapes in progress.", multiprocess_mode="livesum", registry=REGISTRY
)
READS_WAITING = Gauge(
    "hub_reads_waiting",
    "Number of reads waiting in the queue because the hub is at capacity.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
READS_UNDER_WAY = Gauge(
    "hub_reads_in_flight",
    "Number of reads in progress.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
UPSTREAM_REQUESTS = Counter(
    "hub_upstream_requests",
    "Total number of management requests sent to Service Bus by HTTP status code of the response (none: no response).",
    ["code"],
    registry=REGISTRY,
)
DISCOVERY_REQUESTS = Counter(
    "hub_discovery_requests",
    "Total number of service discovery requests (/sd) by HTTP status code of the response.",
    ["code"],
    registry=REGISTRY,
)
TOKEN_LAST_USED = Gauge(
    "hub_token_last_used_timestamp_seconds",
    "Time when a scrape token was last used since the hub started, in Unix time. Platform tokens have an empty team.",
    ["token", "team"],
    multiprocess_mode="max",
    registry=REGISTRY,
)
SPARE_USED = Counter(
    "hub_credential_spare_used",
    "Total number of management requests made with a credential's spare secret because the active one was refused.",
    ["credential", "team"],
    registry=REGISTRY,
)
# Their series name a team's objects; only tokens that may see these get them.
_OF_TEAMS = frozenset(
    {
        "hub_token_last_used_timestamp_seconds",
        "hub_token_expiry_timestamp_seconds",
        "hub_credential_expiry_timestamp_seconds",
        "hub_credential_spare_used",
    }
)


def upstream_answered(status: int, number: int) -> None:
    """Count management requests by the status of their answers; 0: no answer."""
    _requests_answered(status).inc(number)


@lru_cache(maxsize=1024)  # more than there are status codes
def _requests_answered(status: int) -> Counter:
    return UPSTREAM_REQUESTS.labels(str(status) if status else "none")


class Moment(Collector):
    """Metrics of the hub's current state, read at collection."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily(
            "hub_build_info",
            "Versions of the hub and of Python as labels; always 1.",
            labels=["version", "python"],
        )
        info.add_metric([settings.HUB_VERSION, platform.python_version()], 1)
        yield info
        targets = self._configuration.targets.values()
        namespaces = GaugeMetricFamily(
            "hub_namespaces", "Number of namespaces by state (enabled, paused).", labels=["state"]
        )
        enabled = sum(target.enabled for target in targets)
        namespaces.add_metric(["enabled"], enabled)
        namespaces.add_metric(["paused"], len(targets) - enabled)
        yield namespaces
        yield GaugeMetricFamily(
            "hub_config_age_seconds",
            "Time in seconds since this process last compared its configuration with the database.",
            value=reloader.age_seconds(),
        )
        credentials = GaugeMetricFamily(
            "hub_credential_expiry_timestamp_seconds",
            "Expiry time of a credential's secret, certificate or signature, in Unix time.",
            labels=["credential", "team", "slot"],
        )
        for expiry in self._configuration.expiries:
            credentials.add_metric([expiry.credential, expiry.team or "", expiry.slot], expiry.at.timestamp())
        yield credentials
        tokens = GaugeMetricFamily(
            "hub_token_expiry_timestamp_seconds",
            "Expiry time of a scrape token, in Unix time. Platform tokens have an empty team.",
            labels=["token", "team"],
        )
        for grant in self._configuration.grants.values():
            if grant.expires_at is not None:
                tokens.add_metric([grant.name, grant.team or ""], grant.expires_at.timestamp())
        yield tokens


class _Visible(Collector):
    """Hides series that name deleted objects, or objects of a team that the token doesn't belong to."""

    def __init__(self, families: Collector, configuration: Configuration, grant: Grant | None) -> None:
        self._families = families
        self._grant = grant
        self._tokens = {(grant.name, grant.team or "") for grant in configuration.grants.values()}
        self._credentials = configuration.credentials

    def collect(self) -> Iterable[Metric]:
        for family in self._families.collect():
            if family.name in _OF_TEAMS:
                family.samples = [sample for sample in family.samples if self._shows(sample.labels)]
                if not family.samples:
                    continue
            yield family

    def _shows(self, labels: Mapping[str, str]) -> bool:
        if self._grant is None or not self._grant.sees_team(labels["team"]):
            return False
        if "token" in labels:
            return (labels["token"], labels["team"]) in self._tokens
        return (labels["credential"], labels["team"]) in self._credentials


def registry(configuration: Configuration, grant: Grant | None) -> CollectorRegistry:
    """Return a registry for one answer, over all worker processes, with what this token may see.

    Without a token (HUB_METRICS_OPEN), no series names a team's object.
    """
    answer = CollectorRegistry()
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        shared: Collector = Shared(Path(folder))
        answer.register(Processes(os.getppid()))
    else:
        shared = _Own()
        ProcessCollector(registry=answer)
        PlatformCollector(registry=answer)
    answer.register(_Visible(shared, configuration, grant))
    answer.register(_Visible(Moment(configuration), configuration, grant))
    return answer


class _Own(Collector):
    def collect(self) -> Iterable[Metric]:
        return REGISTRY.collect()
