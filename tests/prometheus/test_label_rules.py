"""Label rules over a snapshot: their input, what they may change, and that the exposition stays valid."""

import subprocess
from dataclasses import replace

import msgspec
import pytest

from exporters.prometheus import metrics, text
from exporters.prometheus.collector import SnapshotCollector
from exporters.prometheus.labelling import LabelRules
from exporters.prometheus.relabel import Rule
from exporters.servicebus.entities import Counts, NamespaceInfo, Queue, Snapshot, Subscription, Topic
from tests.support import programs

from .test_collector import Samples, names, samples, value

COUNTS = Counts(1, 2, 3, 4, 5)
BUS = Snapshot(
    queues=(
        Queue("orders", "active", COUNTS, user_metadata="owner=payments", forward_to="sb://bus/all"),
        Queue("invoices", "disabled", COUNTS, partitioned=True, accessed=3.0),
        Queue("tmp-1", "active", COUNTS),
    ),
    topics=(Topic("events", "active", COUNTS),),
    subscriptions=(
        Subscription("events", "billing", "active", COUNTS, requires_session=True),
        Subscription("events", "audit", "active", COUNTS),
    ),
    info=NamespaceInfo("payments", "Premium", 2),
    collectors=dict.fromkeys(["namespace", "queues", "topics", "subscriptions"]),
)
META = {
    "namespace": "payments-prod",
    "host": "bus.example",
    "team": "payments",
    "sku": "Premium",
    "label_env": "prod",
}
ACTIVE = "servicebus_queue_active_messages"


def labelled(*configs: dict[str, object], snapshot: Snapshot = BUS, **options: object) -> Samples:
    rules = LabelRules(tuple(map(Rule.from_config, configs)), tuple(META.items()))
    return samples(snapshot, rules=rules, **options)


def dropped(found: Samples, reason: str) -> float | None:
    return value(found, "servicebus_entities_dropped", reason=reason)


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ("namespace", "payments-prod"),
        ("host", "bus.example"),
        ("team", "payments"),
        ("kind", "queue"),
        ("sku", "Premium"),
        ("status", "active"),
        ("forward_to", "sb://bus/all"),
        ("user_metadata", "owner=payments"),
        ("label_env", "prod"),
    ],
)
def test_a_rule_sees_the_entity_and_its_namespace(meta: str, expected: str) -> None:
    found = labelled({"source_labels": [f"__meta_servicebus_{meta}"], "target_label": "seen"})
    assert value(found, ACTIVE, name="orders", seen=expected) == 1


def test_what_is_true_or_false_is_so_in_words_and_what_was_not_said_is_empty() -> None:
    rules: list[dict[str, object]] = [
        {"source_labels": [f"__meta_servicebus_{name}"], "target_label": name}
        for name in ("partitioned", "requires_session")
    ]
    found = labelled(*rules)
    assert value(found, ACTIVE, name="invoices", partitioned="true") == 1
    assert value(found, ACTIVE, name="orders") == 1
    assert value(
        found, "servicebus_subscription_active_messages",
        name="billing", topic_name="events", requires_session="true",
    ) == 1  # fmt: skip


def test_an_owner_comes_from_the_user_metadata() -> None:
    metadata = "__meta_servicebus_user_metadata"
    found = labelled({"source_labels": [metadata], "regex": "owner=(.+)", "target_label": "owner"})
    assert value(found, ACTIVE, name="orders", owner="payments") == 1
    assert value(found, "servicebus_queue_status", name="orders", owner="payments", status="active") == 1
    assert value(found, ACTIVE, name="invoices") == 1


def test_meta_labels_and_temporary_ones_vanish() -> None:
    found = labelled(
        {"source_labels": ["name"], "target_label": "__tmp_first", "regex": "(.).*"},
        {"source_labels": ["__tmp_first"], "target_label": "first"},
    )
    assert value(found, ACTIVE, name="orders", first="o") == 1
    assert not [key for key in found if any(name.startswith("__") for name, _ in key[1])]


def test_all_of_the_namespaces_labels_can_be_taken_over_at_once() -> None:
    found = labelled({"action": "labelmap", "regex": "__meta_servicebus_label_(.+)"})
    assert value(found, ACTIVE, name="orders", env="prod") == 1


def test_a_dropped_entity_is_counted_and_gone_from_every_metric() -> None:
    found = labelled({"action": "drop", "source_labels": ["name"], "regex": "tmp-.*"})
    assert not [key for key in found if ("name", "tmp-1") in key[1]]
    assert dropped(found, "rule") == 1
    assert value(found, "servicebus_entities", kind="queue") == 2


def test_a_rule_about_the_metric_decides_about_that_metric_alone() -> None:
    found = labelled({"action": "drop", "source_labels": ["__name__"], "regex": "servicebus_.*_transfer_.*"})
    assert not [name for name in names(found) if "transfer" in name]
    assert value(found, ACTIVE, name="orders") == 1
    assert dropped(found, "rule") == 0


def test_a_rule_may_look_at_a_metric_and_an_entity_together() -> None:
    rule = {"action": "drop", "source_labels": ["__name__", "name"], "regex": f"{ACTIVE};orders"}
    found = labelled(rule)
    assert value(found, ACTIVE, name="orders") is None
    assert value(found, ACTIVE, name="invoices") == 1
    assert value(found, "servicebus_queue_dead_letter_messages", name="orders") == 2


def test_an_entity_that_keeps_no_metric_is_dropped() -> None:
    found = labelled({"action": "drop", "source_labels": ["__name__"], "regex": "servicebus_topic_.*"})
    assert value(found, "servicebus_entities", kind="topic") == 0
    assert dropped(found, "rule") == 1


def test_a_rule_can_use_a_label_that_one_metric_has_beside_the_entitys_own() -> None:
    found = labelled({"source_labels": ["status"], "regex": "(.+)", "target_label": "state"})
    assert value(found, "servicebus_queue_status", name="orders", status="active", state="active") == 1
    assert value(found, ACTIVE, name="orders") == 1


def test_series_that_become_equal_keep_the_first_and_count_the_entities_of_the_others() -> None:
    found = labelled({"action": "labeldrop", "regex": "name"})
    assert value(found, ACTIVE) == 1
    assert dropped(found, "duplicate") == 3  # two queues, one subscription
    assert value(found, "servicebus_entities", kind="queue") == 1
    # The first queue has no such value, so the second's is not a duplicate.
    assert value(found, "servicebus_queue_accessed_timestamp_seconds") == 3


def test_a_renamed_metric_keeps_its_type_and_joins_one_that_has_the_name() -> None:
    to = "servicebus_queue_dead_letter_messages"
    rule = {"source_labels": ["__name__"], "regex": ACTIVE, "target_label": "__name__", "replacement": to}
    found = labelled(rule)
    assert ACTIVE not in names(found)
    assert value(found, to, name="orders") == 1  # the active counts come first
    assert dropped(found, "duplicate") == 3


def test_a_rule_touches_nothing_that_is_about_the_scrape() -> None:
    plain = labelled()
    found = labelled({"action": "drop", "source_labels": ["__name__"], "regex": ".*"})
    about = {metric.name for metric in metrics.SCRAPE_METRICS}
    assert names(found) == names(plain) & about
    same = about - {"servicebus_entities", "servicebus_entities_dropped"}
    assert {key: found[key] for key in found if key[0] in same} == {
        key: plain[key] for key in plain if key[0] in same
    }
    assert dropped(found, "rule") == 6


def test_a_metric_cannot_lose_its_name_or_take_one_that_is_none() -> None:
    for rule in (
        {"action": "labelkeep", "regex": "name|topic_name"},
        {"target_label": "__name__", "replacement": "no-name"},
        {"target_label": "__name__", "replacement": ""},
        {"source_labels": ["name"], "target_label": "__name__", "replacement": "$1-"},
    ):
        assert value(labelled(rule), ACTIVE, name="orders") == 1


def test_a_series_without_any_label_left_is_dropped_as_prometheus_does() -> None:
    found = labelled({"action": "labelkeep", "regex": "owner"})
    assert names(found) <= {metric.name for metric in metrics.SCRAPE_METRICS}


def test_labels_that_no_prometheus_reads_are_left_out() -> None:
    found = labelled({"action": "labelmap", "regex": "name", "replacement": "1name"})
    assert value(found, ACTIVE, name="orders") == 1


RENAMES: tuple[dict[str, object], ...] = (
    {"action": "labeldrop", "regex": "name|topic_name|status"},
    {"action": "labeldrop", "regex": ".*"},
    {"target_label": "__name__", "replacement": "servicebus_up"},
    {"source_labels": ["__name__", "name"], "target_label": "__name__", "replacement": "servicebus_entities"},
    {"source_labels": ["name"], "regex": "(?s)([a-z]+).*", "target_label": "__name__"},
    {
        "source_labels": ["__name__"],
        "regex": "(.*)_messages",
        "target_label": "__name__",
        "replacement": "${1}_total",
    },
    {"target_label": "le", "replacement": 'a"b\\c'},
)


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0"])
@pytest.mark.parametrize("config", RENAMES, ids=str)
def test_the_exposition_stays_valid(config: dict[str, object], accept: str) -> None:
    rules = LabelRules((Rule.from_config(config),), tuple(META.items()))
    body = text.render(
        SnapshotCollector(BUS, rules=rules, groups=metrics.GROUPS).collect(), text.negotiate(accept)
    )
    lines = body.decode().splitlines()
    series = [line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")]
    assert len(series) == len(set(series))
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    at = ""
    for line in lines:
        if line.startswith("# TYPE"):
            at = line.split()[2]
        elif not line.startswith("#"):
            assert line.partition("{")[0].partition(" ")[0] == at
    if not accept:
        promtool = programs.require("promtool")
        done = subprocess.run(
            [promtool, "check", "metrics"], input=body, capture_output=True, timeout=60, check=False
        )
        # promtool's opinion of a name is up to the user; a body that it can't read is not acceptable.
        assert done.returncode in {0, 3}, done.stderr


def test_a_second_scrape_gives_the_same_and_sees_what_changed() -> None:
    config = {"source_labels": ["__meta_servicebus_status"], "target_label": "state"}
    first = labelled(config)
    assert labelled(config) == first
    changed = replace(BUS, queues=(msgspec.structs.replace(BUS.queues[0], status="disabled"),))
    assert value(labelled(config, snapshot=changed), ACTIVE, name="orders", state="disabled") == 1
