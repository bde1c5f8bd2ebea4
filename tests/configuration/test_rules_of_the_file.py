"""Label rules in hub.yaml, which have an order but no names."""

import pytest

from exporters.models import LabelRule

from .conftest import apply, errors

pytestmark = pytest.mark.django_db


def rules(*regexes: str, key: str = "regex") -> str:
    lines = "".join(f"  - {{action: drop, source_labels: [name], {key}: {regex}}}\n" for regex in regexes)
    return "label_rules:\n" + lines


def stored_rules() -> list[str]:
    return list(LabelRule.objects.order_by("position", "pk").values_list("regex", flat=True))


def test_rules_keep_the_order_of_the_file() -> None:
    apply(rules("a", "b", "c"))
    assert stored_rules() == ["a", "b", "c"]
    apply(rules("c", "a", "b"))
    assert stored_rules() == ["c", "a", "b"]
    assert apply(rules("c", "a", "b")).changes == ()


def test_a_rule_put_between_two_others_changes_neither() -> None:
    apply(rules("a", "c"))
    first, last = LabelRule.objects.order_by("position")
    plan = apply(rules("a", "b", "c"))
    assert stored_rules() == ["a", "b", "c"]
    assert {LabelRule.objects.get(regex="a").pk, LabelRule.objects.get(regex="c").pk} == {first.pk, last.pk}
    assert plan.changes[0].action == "created"


def test_an_edited_rule_stays_the_same_row() -> None:
    apply(rules("a", "b"))
    row = LabelRule.objects.get(regex="b").pk
    (change,) = apply(rules("a", "bb")).changes
    assert [str(field.name) for field in change.fields] == ["regex"]
    assert LabelRule.objects.get(regex="bb").pk == row


def test_a_rule_taken_out_of_the_file_stays_until_it_is_pruned() -> None:
    apply(rules("a", "b"))
    assert len(apply(rules("a")).kept) == 1
    assert stored_rules() == ["a", "b"]
    apply(rules("a"), prune=True)
    assert stored_rules() == ["a"]


def test_more_rules_than_a_scope_takes_are_refused() -> None:
    (line,) = errors(rules(*(f"a{number}" for number in range(101))))
    assert "This would be 101 rules" in line
    assert stored_rules() == []
    apply(rules(*(f"a{number}" for number in range(100))))
    LabelRule.objects.update(source="admin")
    (line,) = errors(rules("b"))
    assert "This would be 101 rules" in line
