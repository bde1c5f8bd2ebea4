"""docs/label-rules.md matches the code."""

import re
from pathlib import Path

import pytest

from exporters.hub_yaml import rule_blocks
from exporters.prometheus import labelling, metrics
from exporters.prometheus.labelling import LabelRules
from exporters.prometheus.relabel import ACTIONS, Rule
from exporters.prometheus.relabel_actions import process

DOCS = (Path(__file__).resolve().parent.parent.parent / "docs" / "label-rules.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)


def rules(block: str) -> tuple[Rule, ...]:
    return tuple(Rule.from_config(rule, legacy_names=True) for rule in rule_blocks.read(block))


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_a_rule(block: str) -> None:
    assert rules(block)


def test_the_owner_is_found_in_the_user_metadata() -> None:
    (block,) = [block for block in BLOCKS if "user_metadata" in block]
    for metadata in ("owner=payments", "owner=payments; tier=1", "tier=1; owner=payments"):
        labels = process({"__meta_servicebus_user_metadata": metadata}, rules(block))
        assert labels is not None
        assert labels["owner"] == "payments"


def test_every_label_that_a_rule_sees_is_documented_and_no_other() -> None:
    meta = tuple((name, "") for name in ("namespace", "host", "team", "sku", "label_<name>"))
    seen = {
        name
        for kind in (metrics.QUEUE, metrics.TOPIC, metrics.SUBSCRIPTION)
        for name in LabelRules((), meta).label_names(kind)
        if name.startswith(labelling.PREFIX)
    }
    assert set(re.findall(r"^\| `(__meta_\S+)` \|", DOCS, re.MULTILINE)) == seen


def test_every_action_is_documented() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", DOCS, re.MULTILINE)
    assert set(ACTIONS) <= {name for row in rows for name in re.findall(r"`(\w+)`", row)}
