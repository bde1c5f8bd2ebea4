"""The hub's own metrics, summed over its worker processes.

gunicorn's workers share them through prometheus_client's multiprocess mode: hub/gunicorn.py names the folder before
anything imports this module. A process that has no such folder (a management command, a test) keeps them to itself.
"""

import os
import platform
from collections.abc import Iterable

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
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()

SCRAPES = Counter(
    "hub_scrapes",
    "Scrapes answered, by outcome (success, partial, failure, refused).",
    ["outcome"],
    registry=REGISTRY,
)
SCRAPE_DURATION = Histogram(
    "hub_scrape_duration_seconds",
    "Time from a scrape's request to its answer.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    registry=REGISTRY,
)
SCRAPES_IN_FLIGHT = Gauge(
    "hub_scrapes_in_flight", "Scrapes under way.", multiprocess_mode="livesum", registry=REGISTRY
)
UPSTREAM_REQUESTS = Counter(
    "hub_upstream_requests",
    "Management requests sent to Service Bus, by answer (ok, throttled).",
    ["answer"],
    registry=REGISTRY,
)


class _Moment(Collector):
    """What is true of the hub at this moment, read when it is asked for."""

    def collect(self) -> Iterable[Metric]:
        from .catalog import catalog

        info = GaugeMetricFamily(
            "hub_build_info", "The hub's version and the Python that runs it.", labels=["version", "python"]
        )
        info.add_metric([settings.HUB_VERSION, platform.python_version()], 1)
        yield info
        targets = catalog.current().targets.values()
        namespaces = GaugeMetricFamily(
            "hub_namespaces", "Namespaces, by state (enabled, paused).", labels=["state"]
        )
        enabled = sum(target.enabled for target in targets)
        namespaces.add_metric(["enabled"], enabled)
        namespaces.add_metric(["paused"], len(targets) - enabled)
        yield namespaces
        yield GaugeMetricFamily(
            "hub_config_age_seconds",
            "For how long the answering process could not hold its configuration against the database.",
            value=catalog.age_seconds(),
        )


def registry() -> CollectorRegistry:
    """Return a registry made for one answer, over all worker processes."""
    answer = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(answer)
    else:
        answer.register(_Own())
        ProcessCollector(registry=answer)
        PlatformCollector(registry=answer)
    answer.register(_Moment())
    return answer


class _Own(Collector):
    def collect(self) -> Iterable[Metric]:
        return REGISTRY.collect()
