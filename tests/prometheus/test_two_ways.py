"""Rules applied once per entity give the same exposition as rules applied to each series."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from exporters.prometheus import labelling, metrics, rule_plan, text
from exporters.prometheus.collector import EntityFamilies, SnapshotCollector
from exporters.prometheus.labelling import LabelRules
from exporters.prometheus.relabel import Rule
from exporters.servicebus.entities import Counts, Queue, Snapshot

from . import rule_lists

GROUPS = frozenset(metrics.GROUPS) | {metrics.MESSAGES}
META = (("namespace", "payments"), ("team", "a"), ("label_env", "prod"))


def families(snapshot: Snapshot, configs: Sequence[rule_lists.Config]) -> EntityFamilies:
    rules = tuple(Rule.from_config(config, legacy_names=True) for config in configs)
    return EntityFamilies(snapshot, GROUPS, LabelRules(rules, META))


def body(made: EntityFamilies) -> str:
    return text.render(made.families(), text.negotiate("")).decode()


def series(made: EntityFamilies) -> list[Any]:
    """Return name, labels and value of each series, in order; an empty label does not exist."""
    return [
        (sample.name, {name: value for name, value in sample.labels.items() if value}, sample.value)
        for family in made.families()
        for sample in family.samples
    ]


def counts(made: EntityFamilies) -> dict[str, int]:
    return {**made.dropped, **{kind: made.shown(kind) for kind in ("queue", "topic", "subscription")}}


def says_everything(snapshot: Snapshot) -> bool:
    entities: list[Any] = [*snapshot.queues, *snapshot.topics, *snapshot.subscriptions]
    return all(entity.status and entity.counts for entity in entities)


def series_by_series(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(rules: tuple[Rule, ...], *about_the_metric: Any) -> rule_plan.Plan:
        return rule_plan.Plan(rules, for_each_series=True)

    monkeypatch.setattr(labelling, "plan", plain)


@pytest.mark.parametrize("lists", [rule_lists.rules, rule_lists.touchy_rules])
def test_both_ways_lead_to_the_same_exposition(lists: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    cases = [(lists(chance), rule_lists.snapshot(chance)) for _ in range(400)]
    ways: Counter[bool] = Counter()
    fast = []
    for configs, snapshot in cases:
        made = families(snapshot, configs)
        fast.append((series(made), counts(made)))
        plan = rule_plan.plan(
            tuple(Rule.from_config(config, legacy_names=True) for config in configs),
            "servicebus_queue_active_messages", (), LabelRules((), META).label_names("queue"),
        )  # fmt: skip
        ways[plan.for_each_series] += 1
    assert min(ways.values()) > 40, ways
    series_by_series(monkeypatch)
    for (configs, snapshot), (expected, counted) in zip(cases, fast, strict=True):
        made = families(snapshot, configs)
        assert series(made) == expected, configs
        assert counts(made)["duplicate"] == counted["duplicate"], configs
        # An entity with values that the service did not report can have lost its last series.
        if says_everything(snapshot):
            assert counts(made) == counted, configs


def test_no_series_is_there_twice_and_each_family_is_in_one_piece() -> None:
    chance = random.Random(11)
    for _ in range(400):
        configs, snapshot = rule_lists.touchy_rules(chance), rule_lists.snapshot(chance)
        rules = tuple(Rule.from_config(config, legacy_names=True) for config in configs)
        collector = SnapshotCollector(snapshot, groups=GROUPS, rules=LabelRules(rules, META))
        lines = text.render(collector.collect(), text.negotiate("")).decode().splitlines()
        series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
        assert len(series) == len(set(series)), configs
        begun = [line.split()[2] for line in lines if line.startswith("# TYPE")]
        assert len(begun) == len(set(begun)), configs
        at = ""
        for line in lines:
            if line.startswith("# TYPE"):
                at = line.split()[2]
            elif not line.startswith("#"):
                assert line.split("{")[0].split(" ")[0] == at, configs


@pytest.mark.parametrize("of_what", ["__name__", "status"])
def test_a_label_copied_over_the_name_leaves_the_first_series_and_counts_the_other(of_what: str) -> None:
    two = Snapshot(tuple(Queue(name, "active", Counts(1, 2, 3, 4, 5)) for name in ("a", "b")))
    made = families(two, [{"action": "labelmap", "regex": of_what, "replacement": "name"}])
    lines = [line for line in body(made).splitlines() if line.startswith("servicebus_queue_status{")]
    assert len(lines) == 1
    assert made.dropped["duplicate"] == 1


def test_two_entities_of_one_name_are_one_series() -> None:
    twice = Snapshot(
        (Queue("a", "active", Counts(1, 2, 3, 4, 5)), Queue("a", "active", Counts(9, 9, 9, 9, 9)))
    )
    made = families(twice, [])
    assert body(made).count('servicebus_queue_active_messages{name="a"}') == 1
    assert made.dropped["duplicate"] == 1
