"""The output and the cost of rules are limited; a rule that fails leaves the others alone."""

import logging
import re
import time
import tracemalloc
from typing import Any

import pytest

from exporters.pages import rule_preview
from exporters.prometheus import labelling, metrics, relabel_actions
from exporters.prometheus.collector import EntityFamilies
from exporters.prometheus.labelling import LabelRules
from exporters.prometheus.patterns import MAX_PATTERN_CHARACTERS, instructions, pattern_problem
from exporters.prometheus.relabel import (
    MAX_LABEL_NAME_CHARACTERS,
    MAX_LABEL_VALUE_CHARACTERS,
    MAX_LABELS_PER_SERIES,
    Rule,
    RuleError,
)
from exporters.prometheus.relabel_actions import process
from exporters.prometheus.relabel_outcomes import LabelLimitError
from exporters.servicebus.entities import Counts, Queue, Snapshot, Topic

GROUPS = frozenset(metrics.GROUPS) | {metrics.MESSAGES}
COUNTS = Counts(1, 2, 3, 4, 5)
TWO = Snapshot((Queue("orders", "active", COUNTS), Queue("tmp", "active", COUNTS)))
DOUBLE = {"source_labels": ["name"], "target_label": "name", "replacement": "$1$1"}


def rules(*configs: dict[str, Any]) -> LabelRules:
    return LabelRules(tuple(Rule.from_config(config, legacy_names=True) for config in configs))


def families(*configs: dict[str, Any], snapshot: Snapshot = TWO) -> EntityFamilies:
    return EntityFamilies(snapshot, GROUPS, rules(*configs))


def names_left(made: EntityFamilies) -> set[str]:
    return {sample.labels.get("name", "") for family in made.families() for sample in family.samples}


ABOVE: dict[str, list[dict[str, Any]]] = {
    "a value that doubles": [DOUBLE] * 28,
    "an intermediate value": [
        {"source_labels": ["name"], "target_label": "__tmp", "replacement": "$1$1"},
        *[{"source_labels": ["__tmp"], "target_label": "__tmp", "replacement": "$1$1$1$1"}] * 14,
        {"source_labels": ["name"], "target_label": "__tmp"},
    ],
    "text joined from labels": [
        *[{"source_labels": ["name"], "target_label": "long", "replacement": "${1}" + "x" * 1_500}],
        {"source_labels": ["long"] * 100, "target_label": "a", "replacement": "$1$1"},
    ],
    "a template of many groups": [
        {"source_labels": ["name"], "target_label": "a", "replacement": "$0" * 1_000}
    ],
    "labels that a labelmap doubles": [
        {"action": "labelmap", "regex": "(.*)", "replacement": f"a{number}_$1"} for number in range(24)
    ],
    "names that a labelmap doubles": [{"action": "labelmap", "regex": "(.*)", "replacement": "$1$1$1$1"}] * 8,
    "a name that rules make": [
        {"source_labels": ["name"], "target_label": "a" + "$1" * 95, "replacement": "b"}
    ],
    "each series": [
        {"source_labels": ["__name__", "name"], "regex": "(.*)", "target_label": "name"},
        *[DOUBLE] * 28,
    ],
    "many labels": [
        {"target_label": f"l{number}", "replacement": "x"} for number in range(MAX_LABELS_PER_SERIES)
    ],
}


@pytest.mark.parametrize("configs", ABOVE.values(), ids=ABOVE)
def test_what_is_above_a_limit_is_dropped_and_counted_in_little_time_and_memory(
    configs: list[dict[str, Any]],
) -> None:
    families({"target_label": "warm", "replacement": "up"})
    tracemalloc.start()
    started = time.process_time()
    made = families(*configs)
    seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.dropped["label_limit"] == 2
    assert made.shown("queue") == 0
    assert names_left(made) == set()
    assert peak < 20_000_000
    assert seconds < 5


@pytest.mark.parametrize("configs", ABOVE.values(), ids=ABOVE)
def test_a_preview_of_them_takes_no_more(configs: list[dict[str, Any]]) -> None:
    tried = rules(*configs)
    numbers = [str(number) for number in range(len(configs))]
    tracemalloc.start()
    made = rule_preview.preview(TWO, GROUPS, LabelRules(), tried, numbers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.series_after == 0
    assert peak < 20_000_000


def test_other_entities_keep_their_series() -> None:
    made = families({**DOUBLE, "regex": "(o.*)", "replacement": "$1" * 400})
    assert names_left(made) == {"tmp"}
    assert made.dropped["label_limit"] == 1
    assert made.shown("queue") == 1


def test_as_much_as_the_limits_allow_is_shown() -> None:
    long = "x" * MAX_LABEL_VALUE_CHARACTERS
    assert process({"a": "b"}, rules({"target_label": "a", "replacement": long}).rules) == {"a": long}
    spread = rules(
        {"source_labels": ["a"], "regex": "(.)(.*)", "target_label": "b", "replacement": "${2}${1}"}
    ).rules
    assert process({"a": long}, spread) == {"a": long, "b": long}
    with pytest.raises(LabelLimitError):
        process({"a": long + "y"}, rules({"source_labels": ["a", "b"], "target_label": "c"}).rules)


def test_a_rule_may_hold_only_so_much() -> None:
    for config, key in (
        ({"target_label": "a" * (MAX_LABEL_NAME_CHARACTERS + 1)}, "target_label"),
        ({"target_label": "a", "replacement": "x" * (MAX_LABEL_VALUE_CHARACTERS + 1)}, "replacement"),
        ({"target_label": "a", "source_labels": ["x"] * (MAX_LABELS_PER_SERIES + 1)}, "source_labels"),
        ({"target_label": "a", "regex": "x" * (MAX_PATTERN_CHARACTERS + 1)}, "regex"),
        ({"target_label": "a", "regex": "(?i)\\pL{900}"}, "regex"),
        ({"target_label": "a", "replacement": "$" + "9" * 2_000}, ""),  # no group, and no error
    ):
        try:
            Rule.from_config(config, legacy_names=True)
            wrong: set[str] = set()
        except RuleError as error:
            wrong = set(error.errors)
        assert wrong == ({key} if key else set()), config


EXPENSIVE = (
    *(r"(?i)\pL{900}", r"\pL{1,1000}", r"\p{Greek}{1000}", r"(((\pL{20}){10}){10})", r"[^a]{1000}" * 40),
    *(r"(?:\pL|\pN){500}", r"(?i)[\x{80}-\x{10FFFF}]{1000}" * 9, "(.{1000})" * 9),
)


def test_a_pattern_that_is_too_large_is_refused_in_milliseconds_with_advice() -> None:
    started = time.process_time()
    for pattern in EXPENSIVE * 12:
        assert re.search("Use fewer repetitions|invalid repetition size", pattern_problem(pattern)), pattern
    assert time.process_time() - started < 3  # a hundred of them


@pytest.mark.parametrize(
    "pattern",
    [
        "|".join(f"queue-{number}-orders" for number in range(500)),
        "[a-z0-9-]{1,260}",
        r"(\w+)[-/.](.*)",
        ".{1,260}",
    ],
)
def test_a_pattern_as_people_write_them_is_far_from_the_bounds(pattern: str) -> None:
    assert pattern_problem(pattern) == ""
    assert instructions(pattern) < 10_000


def test_rules_that_take_too_long_end_and_the_next_scrape_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "MAX_RULE_SECONDS", 0.02)
    labelling.forget()
    many = Snapshot(tuple(Queue("ab" * 120 + str(number), "active", COUNTS) for number in range(2_000)))
    slow = {"source_labels": ["name"], "regex": "(.?){900}(.*)c", "target_label": "a"}
    left = []
    for _ in range(4):
        made = families(slow, snapshot=many)
        left.append(made.dropped["label_limit"])
    assert left[0] > 0
    assert left == sorted(set(left), reverse=True)
    labelling.forget()


def test_few_entities_can_take_too_long_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "MAX_RULE_SECONDS", 0.02)
    labelling.forget()
    few = Snapshot(tuple(Queue("ab" * 120 + str(number), "active", COUNTS) for number in range(60)))
    slow = [
        {"source_labels": ["name"], "regex": f"(.?){{900}}(.*)c{number}", "target_label": "a"}
        for number in range(20)
    ]
    assert families(*slow, snapshot=few).dropped["label_limit"] > 0
    labelling.forget()


def test_a_preview_of_slow_rules_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "MAX_RULE_SECONDS", 0.02)
    many = Snapshot(tuple(Queue("ab" * 120 + str(number), "active", COUNTS) for number in range(2_000)))
    slow = {"source_labels": ["name"], "regex": "(.?){900}(.*)c", "target_label": "a"}
    made = rule_preview.preview(many, GROUPS, LabelRules(), rules(slow), ["a"])
    assert made.is_cut
    assert 0 < made.entity_count < 2_000
    labelling.forget()


def test_bytes_of_labels_in_one_exposition_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "MAX_LABEL_BYTES", 10_000)
    wide = [{"target_label": f"l{number}", "replacement": "x" * 500} for number in range(10)]
    assert families(*wide).dropped["label_limit"] == 2
    by_series = families({"source_labels": ["__name__"], "target_label": "metric"}, *wide)
    assert by_series.dropped["label_limit"] == 2
    assert 0 < sum(len(family.samples) for family in by_series.families()) < 4
    labelling.forget()


@pytest.mark.parametrize("by_series", [False, True])
def test_labels_above_the_limit_are_not_made(monkeypatch: pytest.MonkeyPatch, by_series: bool) -> None:
    monkeypatch.setattr(labelling, "MAX_LABEL_BYTES", 1_000_000)
    first = {"source_labels": ["__name__"], "target_label": "metric"}
    wide = [
        {"source_labels": ["name"], "target_label": f"l{number}", "replacement": "$1" * 8}
        for number in range(50)
    ]
    read = Snapshot(tuple(Queue(f"{number:04}" * 60, "active", COUNTS) for number in range(500)))
    tracemalloc.start()
    made = families(*wide, *([first] if by_series else []), snapshot=read)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    labelling.forget()
    assert made.dropped["label_limit"] == 500
    assert most < 5_000_000  # without the limit, it would be 50 MB


def test_bytes_of_labels_are_limited_without_rules_too(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Snapshot(
        tuple(Queue("😀" * 500 + str(number), "active", COUNTS) for number in range(10)),
        (Topic("orders", "active", COUNTS),),
    )
    monkeypatch.setattr(labelling, "MAX_LABEL_BYTES", 100_000)
    made = EntityFamilies(read, GROUPS, LabelRules())
    assert made.dropped["label_limit"] >= 10
    assert "servicebus_queue_messages" not in {family.name for family in made.families()}
    monkeypatch.setattr(labelling, "MAX_LABEL_BYTES", 1_000_000)
    assert not EntityFamilies(read, GROUPS, LabelRules()).dropped["label_limit"]


@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("source", [["name"], ["__name__", "name"]])
def test_a_rule_that_fails_is_left_out_and_the_others_apply(
    failing: int, source: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing_hash(text: str) -> int:
        raise ZeroDivisionError

    configs: list[dict[str, Any]] = [
        {"source_labels": source, "regex": ".*", "target_label": f"l{number}", "replacement": "x"}
        for number in range(2)
    ]
    configs.insert(failing, {"action": "hashmod", "source_labels": source, "modulus": 7, "target_label": "h"})
    relabel_actions.program.cache_clear()
    labelling.forget()
    monkeypatch.setattr(relabel_actions, "hash_of", failing_hash)
    with caplog.at_level(logging.ERROR):
        made = families(*configs)
        preview = rule_preview.preview(TWO, GROUPS, LabelRules(), rules(*configs), ["a", "b", "c"])
    samples = [sample for family in made.families() for sample in family.samples]
    assert samples
    assert all(sample.labels["l0"] == sample.labels["l1"] == "x" for sample in samples)
    assert preview.series_after == len(samples)
    assert "A label rule failed and was skipped" in caplog.text
    assert len(caplog.records) < 4  # not one per series
    relabel_actions.program.cache_clear()
    labelling.forget()


def test_half_a_character_ends_nothing() -> None:
    made = families(
        {"source_labels": ["name"], "regex": "(.).*", "target_label": "first"},
        snapshot=Snapshot((Queue("a\ud800", "active", COUNTS), Queue("orders", "active", COUNTS))),
    )
    assert "orders" in names_left(made)
