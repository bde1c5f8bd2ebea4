"""A snapshot as metric families."""

import subprocess
from collections import Counter
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporters.prometheus import metrics, text
from exporters.prometheus.collector import SnapshotCollector
from exporters.servicebus.entities import (
    Counts,
    Failure,
    NamespaceInfo,
    Queue,
    Snapshot,
    Subscription,
    Topic,
)
from exporters.servicebus.errors import Reason
from tests.support import programs

FULL = Snapshot(
    queues=(
        Queue(
            "orders",
            "active",
            Counts(1, 2, 3, 4, 5),
            15,
            100,
            1000,
            1.0,
            2.0,
            3.0,
            10,
            60.0,
            86400.0,
            True,
            False,
            "sb://x/forward",
        ),
    ),
    topics=(Topic("events", "disabled", Counts(0, 0, 7, 0, 0), 5, 500, 1, 1.0, 2.0, 3.0, 60.0, True),),
    subscriptions=(
        Subscription(
            "events", "billing", "active", Counts(6, 0, 0, 0, 0), 6, 1.0, 2.0, 3.0, 5, 30.0, 60.0, False
        ),
    ),
    info=NamespaceInfo("payments", "Premium", 2),
    collectors=dict.fromkeys(["namespace", "queues", "topics", "subscriptions"]),
    requests=4,
    duration_seconds=0.5,
    budget_requests_per_second=30.0,
)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(snapshot: Snapshot, **options: object) -> Samples:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(snapshot, **options))  # type: ignore[arg-type]
    found: Samples = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def names(found: Samples) -> set[str]:
    return {name for name, _ in found}


def value(found: Samples, metric: str, /, **labels: str) -> float | None:
    return found.get((metric, frozenset(labels.items())))


def test_every_metric_of_the_catalogue_appears_with_the_labels_it_declares() -> None:
    failed = replace(FULL, collectors={**FULL.collectors, "namespace": Failure(Reason.TIMEOUT, "late")})
    found = samples(failed, groups=metrics.GROUPS, max_entities=20_000)
    declared = {
        metric.name: set(metric.labels) for metric in (*metrics.ENTITY_METRICS, *metrics.SCRAPE_METRICS)
    }
    seen: dict[str, set[str]] = {}
    for name, labels in found:
        seen.setdefault(name, set()).update(label for label, _ in labels)
    # The text format can't distinguish an empty label from a missing one.
    assert names(found) == set(declared)
    assert {name: labels for name, labels in seen.items() if not labels <= declared[name]} == {}


def test_the_names_that_dashboards_use_stay_as_they_are() -> None:
    found = samples(FULL)
    states = ["active", "dead_letter", "scheduled", "transfer", "transfer_dead_letter"]
    assert [value(found, f"servicebus_queue_{state}_messages", name="orders") for state in states] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert value(found, "servicebus_topic_scheduled_messages", name="events") == 7
    assert value(found, "servicebus_subscription_active_messages", name="billing", topic_name="events") == 6
    assert value(found, "servicebus_queue_size_bytes", name="orders") == 100
    assert value(found, "servicebus_topic_max_size_bytes", name="events") == 500
    assert value(found, "servicebus_up") == 1
    assert value(found, "servicebus_queue_status", name="orders", status="active") == 1


def test_what_the_service_did_not_say_has_no_sample() -> None:
    bare = replace(
        FULL, queues=(Queue("bare"),), topics=(Topic("bare"),), subscriptions=(Subscription("bare", "s"),)
    )
    found = samples(bare)
    assert not [key for key in found if dict(key[1]).get("name") in {"bare", "s"}]
    assert value(found, "servicebus_entities", kind="queue") == 1


def test_a_failed_part_makes_up_0_and_what_was_read_is_still_shown() -> None:
    failure = Failure(Reason.THROTTLED, "slow down")
    found = samples(replace(FULL, subscriptions=(), collectors={**FULL.collectors, "subscriptions": failure}))
    assert value(found, "servicebus_up") == 0
    assert value(found, "servicebus_scrape_error", reason="throttled") == 1
    assert value(found, "servicebus_scrape_collector_success", collector="subscriptions") == 0
    assert value(found, "servicebus_scrape_collector_success", collector="queues") == 1
    assert value(found, "servicebus_queue_active_messages", name="orders") == 1


def test_the_number_of_entities_of_a_part_that_was_not_read_is_unknown_and_not_0() -> None:
    failure = Failure(Reason.TIMEOUT, "late")
    found = samples(replace(FULL, subscriptions=(), collectors={**FULL.collectors, "subscriptions": failure}))
    assert value(found, "servicebus_entities", kind="subscription") is None
    assert value(found, "servicebus_entities", kind="queue") == 1


def test_a_read_that_never_began_is_no_success() -> None:
    assert value(samples(Snapshot()), "servicebus_up") == 0


@pytest.mark.parametrize("group", metrics.GROUPS)
def test_a_group_can_be_switched_off(group: str) -> None:
    without = names(samples(FULL, groups=set(metrics.GROUPS) - {group}, max_entities=20_000))
    every = (*metrics.ENTITY_METRICS, *metrics.SCRAPE_METRICS)
    assert without == {metric.name for metric in every if metric.group != group} - {"servicebus_scrape_error"}


def test_families_are_neither_repeated_nor_interleaved() -> None:
    families = [family.name for family in SnapshotCollector(FULL, groups=metrics.GROUPS).collect()]
    assert [name for name, times in Counter(families).items() if times > 1] == []
    for family in SnapshotCollector(FULL).collect():
        assert {sample.name for sample in family.samples} == {family.name}


def test_promtool_finds_nothing() -> None:
    promtool = programs.require("promtool")
    failed = replace(FULL, collectors={**FULL.collectors, "namespace": Failure(Reason.TIMEOUT, "late")})
    families = SnapshotCollector(failed, groups=metrics.GROUPS).collect()
    body = text.render(families, text.negotiate(""))
    done = subprocess.run(
        [promtool, "check", "metrics"], input=body, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
