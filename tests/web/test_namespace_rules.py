"""The page of a namespace's rules: rules are previewed on a cached result, moved, imported, exported and saved."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils.html import strip_tags

from exporters.models import LabelRule, Membership, Namespace, Team
from exporters.scraping import last_reading
from simulator import SimulatedNamespace

from .conftest import AddTarget

BLANK = {
    "action": "replace",
    "source_labels": "",
    "separator": ";",
    "regex": "(.*)",
    "modulus": "",
    "target_label": "",
    "replacement": "$1",
}


@pytest.fixture
def target(add_target: AddTarget, bus: SimulatedNamespace) -> Iterator[Namespace]:
    last_reading.forget()
    yield add_target(bus, labels={"environment": "prod"})
    last_reading.forget()


@pytest.fixture
def platform(django_user_model: Any) -> Client:
    client = Client()
    client.force_login(django_user_model.objects.create_superuser("root", "", "pass-pass-pass"))
    return client


@pytest.fixture
def member(django_user_model: Any, team: Team) -> Any:
    """Sign in a user with this role in the team; None: an owner of another team."""

    def sign_in(role: Membership.Role | None) -> Client:
        user = django_user_model.objects.create_user(f"one-{role}", password="pass-pass-pass", is_staff=True)
        theirs = team if role is not None else Team.objects.create(name="strangers")
        Membership.objects.create(user=user, team=theirs, role=role or Membership.Role.OWNER)
        client = Client()
        client.force_login(user)
        return client

    return sign_in


def address(target: Namespace, scope: str = "namespace") -> str:
    return f"/admin/exporters/namespace/{target.pk}/rules/?scope={scope}"


def form(*rules: dict[str, str], do: str = "try", **more: str) -> dict[str, str]:
    data = {"rows": str(len(rules)), "do": do, **more}
    for number, rule in enumerate(rules):
        data |= {f"rule-{number}-{name}": value for name, value in {**BLANK, **rule}.items()}
    return data


def told(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(strip_tags(answer.content.decode()).replace("&quot;", '"').split())


def seen(client: Client, url: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', client.get(url).content.decode())
    assert found
    return found[1]


DOMAIN = {"source_labels": "name", "regex": "([a-z]+)/.*", "target_label": "domain"}
DROP = {"action": "drop", "source_labels": "name", "regex": "ord.*"}


def test_a_rule_is_tried_without_being_stored(
    platform: Client, target: Namespace, bus: SimulatedNamespace
) -> None:
    said = told(platform.post(address(target), form(DOMAIN, DROP)))
    assert 'name="team/invoices" domain="team"' in said
    assert "namespace 1 sets domain" in said
    assert "namespace 2 drops it" in said
    assert "5 entities, 2 changed by the rules, 1 dropped" in said
    assert not LabelRule.objects.exists()
    asked = bus.requests.total
    platform.post(address(target), form(DOMAIN))
    assert bus.requests.total == asked, "what was read stays for the next try"
    platform.post(address(target), form(DOMAIN, do="read"))
    assert bus.requests.total > asked


def test_the_fragment_for_scripts_holds_the_preview_alone(platform: Client, target: Namespace) -> None:
    answer = platform.post(address(target), form(DOMAIN), headers={"X-Preview": "1"})
    assert "<html" not in answer.content.decode()
    assert "namespace 1 sets domain" in told(answer)


def test_the_page_warns_of_what_is_not_meant(platform: Client, target: Namespace) -> None:
    nothing = {"source_labels": "name", "regex": "none", "target_label": "a"}
    said = told(platform.post(address(target), form(nothing, {"action": "labeldrop", "regex": "name"})))
    assert "matches nothing" in said
    assert "2 entities lose series" in said
    assert (
        'servicebus_queue_active_messages{name="orders"} becomes servicebus_queue_active_messages{}' in said
    )
    assert "changes name of 5" in said
    assert re.search(r"\d+ current series would end, \d+ new ones would start", said)


def test_a_rule_that_cannot_be_is_refused_where_it_stands_and_nothing_typed_is_lost(
    platform: Client, target: Namespace
) -> None:
    wrong = {**DOMAIN, "regex": "([a-z]+/.*"}
    answer = platform.post(
        address(target), form(wrong, DROP, do="save", seen=seen(platform, address(target)))
    )
    said = told(answer)
    assert "RE2 rejects this pattern: missing ): ([a-z]+/.* (at character 11)." in said
    assert 'value="([a-z]+/.*"' in answer.content.decode()
    assert "namespace 2 drops it" in said, "the others are tried all the same"
    assert not LabelRule.objects.exists()


def test_rules_are_stored_in_their_order_moved_and_removed(platform: Client, target: Namespace) -> None:
    url = address(target)
    platform.post(url, form(DOMAIN, DROP, do="save", seen=seen(platform, url)))
    first, second = LabelRule.objects.order_by("position")
    assert (first.target_label, second.action) == ("domain", "drop")
    rows = [{**DOMAIN, "id": str(first.pk)}, {**DROP, "id": str(second.pk)}]
    moved = platform.post(url, form(*rows, do="down-0"))
    assert moved.context["rows"].values[0]["action"] == "drop"
    platform.post(url, form(rows[1], rows[0], do="save", seen=seen(platform, url)))
    assert list(LabelRule.objects.order_by("position")) == [second, first]
    left = platform.post(url, form(rows[1], rows[0], do="remove-0")).context["rows"].values
    platform.post(url, form(*left, do="save", seen=seen(platform, url)))
    assert list(LabelRule.objects.all()) == [first]
    assert first.history.count() == 2


def test_rules_that_somebody_else_has_changed_are_not_overwritten_unseen(
    platform: Client, target: Namespace
) -> None:
    url = address(target)
    mark = seen(platform, url)
    LabelRule.objects.create(namespace=target, target_label="other")
    tried = platform.post(url, form(DOMAIN, do="add", seen=mark))
    answer = platform.post(url, form(DOMAIN, do="save", seen=tried.context["seen"]))
    assert "changed these rules in the meantime" in told(answer)
    assert [rule.target_label for rule in LabelRule.objects.all()] == ["other"]
    assert 'value="domain"' in answer.content.decode()


BLOCK = """
metric_relabel_configs:
  - source_labels: [name]
    regex: ([a-z]+)/.*
    target_label: domain
  - action: Drop
    source_labels: [__meta_servicebus_status]
    regex: no
"""


def test_a_pasted_block_becomes_rules_and_comes_out_again(platform: Client, target: Namespace) -> None:
    answer = platform.post(address(target), form(DROP, do="import", pasted=BLOCK))
    assert [row["action"] for row in answer.context["rows"].values] == ["drop", "replace", "drop"]
    assert yaml.safe_load(answer.context["yaml"])[1:] == [
        {"source_labels": ["name"], "regex": "([a-z]+)/.*", "target_label": "domain"},
        {"source_labels": ["__meta_servicebus_status"], "regex": "no", "action": "drop"},
    ]
    assert answer.context["pasted"] == ""


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("- regexp: a", "Line 1, rule 1, regexp: Unknown key “regexp”. Did you mean “regex”?"),
        ("- modulus: many", "Line 1, rule 1, modulus: Expected a whole number."),
        ("regexp: a\nmodulus: 1", "Line 1: Paste a list of rules"),
        ("modulus: many", "Line 1, modulus: Expected a whole number."),
        ("relabel_configs:\n- action: drop\n- if: x", "Line 3, rule 2, if: Unknown key"),
        ("a: [", "Line 1: This is not YAML"),
        ("", "This contains no rules."),
        ("scrape_configs: []", "Paste a list of rules"),
    ],
)
def test_a_block_that_is_none_says_where_and_stays(
    platform: Client, target: Namespace, block: str, said: str
) -> None:
    answer = platform.post(address(target), form(DROP, do="import", pasted=block))
    assert said in answer.context["problem"]
    assert answer.context["pasted"] == block
    assert len(answer.context["rows"].values) == 1


def test_the_hubs_rules_come_first_then_the_teams_then_the_namespaces(
    platform: Client, target: Namespace, team: Team
) -> None:
    for place in ({"namespace": target}, {"team": team}, {}):
        LabelRule.objects.create(**place, source_labels=["order"], replacement="${1}x", target_label="order")
    preview = platform.get(address(target)).context["preview"]
    assert [effect.name for effect in preview.effects] == ["hub 1", "team 1", "namespace 1"]
    assert preview.entities[0].after["order"] == "xxx"


def test_what_is_shown_is_bounded_and_can_be_searched(
    platform: Client, add_target: AddTarget, simulator: Any
) -> None:
    bus = simulator.add_namespace("many")
    for number in range(250):
        bus.add_queue(f"queue-{number:03}")
    url = address(add_target(bus))
    preview = platform.get(url).context["preview"]
    assert (preview.entity_count, len(preview.entities)) == (250, 200)
    found = platform.post(url, form(DROP, search="-24")).context["preview"]
    assert [entity.before["name"] for entity in found.entities] == [f"queue-24{digit}" for digit in range(10)]


@pytest.mark.parametrize(
    ("role", "scope", "status"),
    [
        (Membership.Role.EDITOR, "namespace", 302),
        (Membership.Role.OWNER, "team", 302),
        (Membership.Role.EDITOR, "hub", 403),
        (Membership.Role.VIEWER, "namespace", 403),
        (None, "namespace", 404),
    ],
)
def test_who_may_store_rules(
    member: Any, target: Namespace, role: Membership.Role | None, scope: str, status: int
) -> None:
    from exporters.admin.rule_rows import Scope, fingerprint

    place = {
        "namespace": Scope("namespace", target.team, target),
        "team": Scope("team", target.team, None),
        "hub": Scope("hub", None, None),
    }[scope]
    client = member(role)
    answer = client.post(address(target, scope), form(DOMAIN, do="save", seen=fingerprint(place)))
    assert answer.status_code == status
    assert LabelRule.objects.count() == (status == 302)


def test_a_viewer_has_nothing_read_but_sees_what_was(
    member: Any, platform: Client, target: Namespace, bus: SimulatedNamespace
) -> None:
    viewer = member(Membership.Role.VIEWER)
    asked = bus.requests.total
    assert viewer.post(address(target), form(DOMAIN, do="read")).context["preview"] is None
    assert bus.requests.total == asked
    platform.get(address(target))
    assert viewer.post(address(target), form(DOMAIN)).context["preview"].entity_count == 5


def test_a_scrape_applies_the_stored_rules(scraper: Client, target: Namespace) -> None:
    LabelRule.objects.create(
        namespace=target,
        source_labels=["__meta_servicebus_host", "__meta_servicebus_label_environment"],
        target_label="place",
    )
    LabelRule.objects.create(team=target.team, action="drop", source_labels=["name"], regex="orders")
    body = scraper.get(f"/metrics/{target.name}").content.decode()
    assert (
        'servicebus_queue_active_messages{name="team/invoices",place="payments.servicebus.localhost;prod"} 7.0'
        in body
    )
    assert 'name="orders"' not in body
    assert 'servicebus_entities_dropped{reason="rule"} 1.0' in body


def test_a_rule_that_can_no_longer_be_used_ends_no_scrape(
    scraper: Client, target: Namespace, caplog: pytest.LogCaptureFixture
) -> None:
    broken = LabelRule.objects.create(namespace=target, regex="(", target_label="a")
    LabelRule.objects.create(namespace=target, target_label="b", replacement="x")
    answer = scraper.get(f"/metrics/{target.name}")
    assert 'servicebus_queue_active_messages{b="x",name="orders"} 3.0' in answer.content.decode()
    assert f"Skipping label rule {broken.pk} of namespace payments: RE2 rejects" in caplog.text


def test_more_rules_than_the_page_holds_are_tried_but_not_touched(
    platform: Client, target: Namespace
) -> None:
    for number in range(101):
        LabelRule.objects.create(namespace=target, target_label=f"l{number}", replacement="x")
    page = platform.get(address(target))
    assert len(page.context["preview"].effects) == 101
    assert "too many for this page" in told(page)
    answer = platform.post(address(target), form(DOMAIN, do="save", seen=seen(platform, address(target))))
    assert answer.status_code == 403
    assert LabelRule.objects.count() == 101


def test_a_pasted_block_that_is_too_long_is_refused_as_a_whole(platform: Client, target: Namespace) -> None:
    block = "- {action: labeldrop, regex: a}\n" * 101
    answer = platform.post(address(target), form(DOMAIN, do="import", pasted=block))
    assert "at most 100 rules" in answer.context["problem"]
    assert answer.context["pasted"] == block


LARGE = {"action": "drop", "source_labels": "name", "regex": "[a-z]{0,900}[0-9]{0,900}[A-Z]{0,900}"}


def test_rules_whose_patterns_are_too_large_together_are_neither_tried_nor_stored(
    platform: Client, target: Namespace
) -> None:
    url = address(target)
    many = [{**LARGE, "regex": LARGE["regex"] + f"x{number}"} for number in range(60)]
    answer = platform.post(url, form(*many, do="save", seen=seen(platform, url)))
    assert "too large together" in answer.context["problem"]
    assert answer.context["preview"] is None
    assert not LabelRule.objects.exists()
    expensive = form(*[{**LARGE, "regex": r"(?i)\pL{900}"}] * 100)
    started = time.process_time()
    said = told(platform.post(url, expensive))
    assert "Use fewer repetitions" in said
    assert time.process_time() - started < 5


def test_a_preview_of_values_that_double_is_bounded_and_says_so(platform: Client, target: Namespace) -> None:
    doubling = {"source_labels": "name", "target_label": "name", "replacement": "$1$1"}
    said = told(platform.post(address(target), form(*[doubling] * 28)))
    assert "exceeds a limit" in said
    assert re.search(r"namespace \d+ drops it", said)


def test_a_single_rule_above_the_number_is_refused(platform: Client, target: Namespace) -> None:
    for number in range(100):
        LabelRule.objects.create(namespace=target, target_label=f"l{number}", replacement="x")
    values = {**BLANK, "modulus": "0", "target_label": "one_more", "namespace": str(target.pk), "team": ""}
    answer = platform.post("/admin/exporters/labelrule/add/", values)
    assert "This would be 101 rules" in told(answer)
    assert LabelRule.objects.count() == 100
