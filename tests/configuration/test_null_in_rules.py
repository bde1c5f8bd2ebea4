"""A rule's key without a value means the same as in Prometheus."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporters import hub_yaml
from exporters.hub_yaml import rule_blocks
from exporters.hub_yaml.rule_blocks import BlockError
from exporters.models import LabelRule
from exporters.prometheus.relabel import Rule, RuleError, problems
from tests.support import programs

from .conftest import apply, errors

KEYS = ("source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action")
EMPTY = ("", "~", "null", "''", "[]", "0")
BASES: dict[str, dict[str, str]] = {
    "replace": {"source_labels": "[name]", "target_label": "b"},
    "keep": {"source_labels": "[name]", "regex": "x"},
    "drop": {"source_labels": "[name]", "regex": "x"},
    "hashmod": {"source_labels": "[name]", "target_label": "b", "modulus": "3"},
    "labelmap": {"regex": "a(.*)"},
    "labeldrop": {"regex": "a"},
    "labelkeep": {"regex": "a"},
    "lowercase": {"source_labels": "[name]", "target_label": "b"},
    "uppercase": {"source_labels": "[name]", "target_label": "b"},
}  # keepequal and dropequal: Prometheus 2.42 compares fields that later versions don't
CASES = [
    (action, key, empty)
    for action in BASES
    for key in KEYS
    for empty in EMPTY
    # Prometheus distinguishes a missing value from an empty list here.
    if not (action in {"labeldrop", "labelkeep"} and key == "source_labels" and empty == "[]")
]


def block(action: str, key: str, empty: str) -> str:
    written = {**BASES[action], "action": action, key: empty}
    return "- " + "\n  ".join(f"{name}: {value}" for name, value in written.items()) + "\n"


@pytest.fixture(scope="module")
def taken_by_prometheus(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str, str]]:
    """Return the cases that promtool accepts."""
    folder: Path = tmp_path_factory.mktemp("rules")
    files = {}
    for number, case in enumerate(CASES):
        file = folder / f"{number}.yml"
        indented = block(*case).replace("\n", "\n      ")
        file.write_text(f"scrape_configs:\n  - job_name: x\n    metric_relabel_configs:\n      {indented}\n")
        files[str(file)] = case
    promtool = programs.require("promtool")
    done = subprocess.run(
        [promtool, "check", "config", *files], capture_output=True, text=True, timeout=120, check=False
    )
    return {case for file, case in files.items() if f"SUCCESS: {file} " in done.stdout}


def refusal(action: str, key: str, empty: str) -> str:
    """Return why the hub refuses a pasted rule; empty if it accepts it."""
    try:
        (values,) = rule_blocks.read(block(action, key, empty))
    except BlockError as error:
        return str(error)
    return " ".join(problems(LabelRule(**values).rule(), legacy_names=True).values())


@pytest.mark.parametrize("key", KEYS)
def test_an_empty_key_is_taken_where_prometheus_takes_it(
    key: str, taken_by_prometheus: set[tuple[str, str, str]]
) -> None:
    for case in CASES:
        if case[1] == key:
            assert (not refusal(*case)) == (case in taken_by_prometheus), (block(*case), refusal(*case))


def test_an_empty_regex_drops_nothing_that_has_a_name() -> None:
    (values,) = rule_blocks.read("- {action: drop, source_labels: [name], regex: }")
    assert LabelRule(**values).rule().regex == ""


@pytest.mark.django_db
def test_hub_yaml_and_its_export_keep_an_empty_value_apart_from_the_default() -> None:
    text = "label_rules:\n" + "".join(
        f"  - {{source_labels: [name], target_label: t{number}, {key}: }}\n"
        for number, key in enumerate(("regex", "separator", "replacement"))
    )
    apply(text)
    assert [
        (rule.regex, rule.separator, rule.replacement) for rule in LabelRule.objects.order_by("position")
    ] == [
        ("", ";", "$1"),
        ("(.*)", "", "$1"),
        ("(.*)", ";", ""),
    ]
    exported = hub_yaml.export()
    written: Any = yaml.safe_load(exported)["label_rules"]
    assert [(rule.get("regex"), rule.get("separator"), rule.get("replacement")) for rule in written] == [
        ("", None, None),
        (None, "", None),
        (None, None, ""),
    ]
    assert apply(exported).changes == ()
    assert rule_blocks.read(rule_blocks.write(LabelRule.objects.order_by("position")))[0]["regex"] == ""


@pytest.mark.django_db
def test_an_action_of_nothing_is_refused_in_hub_yaml() -> None:
    (line,) = errors("label_rules: [{action: , source_labels: [name], regex: a}]")
    assert line.endswith("label_rules[0].action: Expected text, not nothing.")


def test_a_mapping_in_python_reads_null_alike() -> None:
    assert Rule.from_config({"regex": None, "target_label": "a"}).regex == ""
    assert Rule.from_config({"source_labels": None, "target_label": "a"}).source_labels == ()
    with pytest.raises(RuleError):
        Rule.from_config({"action": None, "target_label": "a"})
