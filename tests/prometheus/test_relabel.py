"""Prometheus's relabel_configs: results, defaults, and what is refused."""

import hashlib
import string

import pytest

from exporters.prometheus.gotext import to_lower, to_upper
from exporters.prometheus.patterns import pattern_problem
from exporters.prometheus.relabel import Rule, RuleError, problems
from exporters.prometheus.relabel_actions import process

Config = dict[str, object]


def rules(*configs: Config) -> tuple[Rule, ...]:
    return tuple(Rule.from_config(config) for config in configs)


@pytest.mark.parametrize(
    ("labels", "config", "expected"),
    [
        # replace
        ({"a": "foo"}, {"source_labels": ["a"], "target_label": "b"}, {"a": "foo", "b": "foo"}),
        ({"a": "foo"}, {"source_labels": ["a"], "regex": "o", "target_label": "b"}, {"a": "foo"}),
        ({"a": "foo"}, {"target_label": "b", "replacement": "x"}, {"a": "foo", "b": "x"}),
        ({"a": "foo"}, {"target_label": "a", "replacement": ""}, {}),
        ({"a": "foo"}, {"source_labels": ["none"], "target_label": "a"}, {}),
        ({"a": "x", "b": "y"}, {"source_labels": ["a", "b"], "target_label": "c"}, {"a": "x", "b": "y", "c": "x;y"}),
        (
            {"a": "x", "b": "y"},
            {"source_labels": ["a", "none", "b"], "separator": "", "target_label": "c"},
            {"a": "x", "b": "y", "c": "xy"},
        ),
        (
            {"a": "k=v"},
            {"source_labels": ["a"], "regex": "(.*)=(.*)", "target_label": "$1", "replacement": "$2"},
            {"a": "k=v", "k": "v"},
        ),
        # A dot matches a line break.
        ({"a": "1\n2"}, {"source_labels": ["a"], "regex": "1.2", "target_label": "b", "replacement": "y"},
         {"a": "1\n2", "b": "y"}),
        # hashmod ignores the regex.
        (
            {"a": "foo"},
            {"action": "hashmod", "source_labels": ["a"], "modulus": 7, "target_label": "b", "regex": "no"},
            {"a": "foo", "b": str(int(hashlib.md5(b"foo").hexdigest()[16:], 16) % 7)},
        ),
        ({"a": "ß İ"}, {"action": "uppercase", "source_labels": ["a"], "target_label": "a"}, {"a": "ß İ"}),
        ({"a": "ÀΣ İ"}, {"action": "lowercase", "source_labels": ["a"], "target_label": "a"}, {"a": "à\u03c3 i"}),
        # labelmap copies. If two labels become one, the later wins, and labels set by a rule come later.
        ({"x_a": "1", "b": "2"}, {"action": "labelmap", "regex": "x_(.*)"}, {"x_a": "1", "b": "2", "a": "1"}),
        (
            {"x_a": "1", "y_a": "2"},
            {"action": "labelmap", "regex": "._(.*)"},
            {"x_a": "1", "y_a": "2", "a": "2"},
        ),
        ({"a": "1", "ab": "2"}, {"action": "labeldrop", "regex": "a"}, {"ab": "2"}),
        ({"a": "1", "ab": "2"}, {"action": "labelkeep", "regex": "a"}, {"a": "1"}),
        # keep, drop and similar
        ({"a": "foo"}, {"action": "keep", "source_labels": ["a"], "regex": "fo"}, None),
        ({"a": "foo"}, {"action": "keep", "source_labels": ["a"], "regex": "fo+"}, {"a": "foo"}),
        ({"a": "foo"}, {"action": "drop", "source_labels": ["a"], "regex": "fo+"}, None),
        ({"a": "foo"}, {"action": "drop", "source_labels": ["a"], "regex": "f|o"}, {"a": "foo"}),
        (
            {"a": "x", "b": "x"},
            {"action": "keepequal", "source_labels": ["a"], "target_label": "b"},
            {"a": "x", "b": "x"},
        ),
        ({"a": "x"}, {"action": "keepequal", "source_labels": ["a"], "target_label": "b"}, None),
        ({"a": "x", "b": "x"}, {"action": "dropequal", "source_labels": ["a"], "target_label": "b"}, None),
        ({}, {"action": "dropequal", "source_labels": ["a"], "target_label": "b"}, None),
        # An empty label does not exist.
        ({"a": "", "b": "x"}, {"action": "labeldrop", "regex": "none"}, {"b": "x"}),
    ],
)  # fmt: skip
def test_an_action(labels: dict[str, str], config: Config, expected: dict[str, str] | None) -> None:
    assert process(labels, rules(config)) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("$1", "left"),
        ("${1}x", "leftx"),
        ("$1x", ""),  # the group called 1x, which doesn't exist
        ("$1-$2", "left-right"),
        ("$0", "left.right"),
        ("$word", "right"),
        ("${word}s", "rights"),
        ("$words", ""),
        ("$$1", "$1"),
        ("$", "$"),
        ("a$-b", "a$-b"),
        ("${1", "${1"),
        ("${}", "${}"),
        ("$3", ""),
        ("$01", ""),
        ("$1é", ""),  # non-ASCII letters count as letters
        ("${1}é", "lefté"),
    ],
)
def test_a_replacement_is_expanded_as_go_does(template: str, expected: str) -> None:
    config = {
        "source_labels": ["a"],
        "regex": r"(\w+)\.(?P<word>\w+)",
        "target_label": "b",
        "replacement": template,
    }
    labels = process({"a": "left.right", "b": "before"}, rules(config))
    assert labels is not None
    assert labels.get("b", "") == expected


def test_a_group_that_took_no_part_is_empty() -> None:
    config = {"source_labels": ["a"], "regex": "(x)?(y)", "target_label": "b", "replacement": "<$1$2>"}
    assert process({"a": "y"}, rules(config)) == {"a": "y", "b": "<y>"}


@pytest.mark.parametrize(("digits", "expected"), [("123456789", ""), ("1234567890", "x"), ("01", "x")])
def test_digits_are_a_groups_number_as_far_as_go_counts(digits: str, expected: str) -> None:
    config: Config = {
        "source_labels": ["a"],
        "regex": f"(?P<{digits}>x)",
        "target_label": "b",
        "replacement": f"-${digits}",
    }
    assert process({"a": "x"}, rules(config)) == {"a": "x", "b": f"-{expected}"}


def test_labels_set_by_a_rule_come_after_those_that_were_there() -> None:
    first = {"target_label": "x_c", "replacement": "set"}
    both = rules(first, {"action": "labelmap", "regex": "._(.)"})
    assert process({"y_c": "there"}, both) == {"x_c": "set", "y_c": "there", "c": "set"}


def test_names_beyond_letters_digits_and_underscores_are_prometheus_3s() -> None:
    config = {"source_labels": ["a"], "target_label": "$1", "replacement": "x"}
    assert process({"a": "b-c"}, rules(config)) == {"a": "b-c", "b-c": "x"}
    assert process({"a": "b-c"}, rules(config), legacy_names=True) == {"a": "b-c"}
    assert Rule.from_config({"target_label": "b.c"}).target_label == "b.c"
    with pytest.raises(RuleError):
        Rule.from_config({"target_label": "b.c"}, legacy_names=True)


def test_an_action_may_be_written_in_capitals() -> None:
    assert Rule.from_config({"action": "LabelDrop", "regex": "a"}).action == "labeldrop"


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"action": "rename"}, "action"),
        ({}, "target_label"),
        ({"target_label": "a-$1"}, "target_label"),
        ({"action": "hashmod", "target_label": "a"}, "modulus"),
        ({"action": "hashmod", "target_label": "$1", "modulus": 2}, "target_label"),
        ({"action": "labelmap", "replacement": "a-$1"}, "replacement"),
        ({"action": "labelmap", "replacement": ""}, "replacement"),
        ({"action": "lowercase", "target_label": "a", "replacement": "x"}, "replacement"),
        ({"action": "keepequal", "target_label": "a", "regex": "x"}, "regex"),
        ({"action": "dropequal", "target_label": "a", "regex": "(.*)"}, "regex"),
        ({"action": "dropequal", "target_label": "a", "separator": ","}, "separator"),
        ({"action": "labeldrop", "source_labels": ["a"]}, "source_labels"),
        ({"action": "labelkeep", "target_label": "a"}, "target_label"),
        ({"target_label": "a", "regex": "("}, "regex"),
        ({"target_label": "a", "source_label": ["b"]}, "source_label"),
        ({"target_label": "a", "source_labels": "b"}, "source_labels"),
        ({"target_label": "a", "modulus": "2"}, "modulus"),
    ],
)
def test_what_prometheus_refuses_is_refused(config: Config, key: str) -> None:
    with pytest.raises(RuleError) as refused:
        Rule.from_config(config, legacy_names=True)
    assert list(refused.value.errors) == [key]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "RE2 rejects this pattern: missing ): (a (at character 3)."),
        ("ab[z-a]", "RE2 rejects this pattern: invalid character class range: z-a (at character 4)."),
        ("a(?=b)", "RE2 rejects this pattern: invalid perl operator: (?= (at character 2)."),
        ("a)(b", "RE2 rejects this pattern: unexpected ): a)(b."),
    ],
)
def test_a_pattern_is_refused_in_re2s_words_and_with_the_place(pattern: str, said: str) -> None:
    assert pattern_problem(pattern) == said


def test_a_pattern_made_to_be_slow_is_not() -> None:
    # A backtracking engine would need longer than the age of the universe.
    config = {"source_labels": ["name"], "regex": "(a+)+$", "target_label": "found"}
    long = "a" * 50_000 + "b"
    assert process({"name": long}, rules(config)) == {"name": long}
    template = Rule(target_label="a" * 5_000 + "$1-")
    assert list(problems(template, legacy_names=True)) == ["target_label"]


def test_letters_are_mapped_one_by_one() -> None:
    assert to_upper(string.ascii_letters) == string.ascii_uppercase * 2
    assert to_upper("ŉ ǰ ﬁ ᾳ ᾀ ῂ ǆ") == "ŉ ǰ ﬁ ᾼ ᾈ ῂ Ǆ"
    assert to_lower("ÀΣ ẞ ǅ") == "à\u03c3 ß ǆ"  # no special case for a final sigma
