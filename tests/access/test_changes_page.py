"""The list of all changes: everything in the user's own teams, nothing of other teams, and no secrets."""

import html
from typing import Any

import pytest
from django.contrib.auth.models import User

from exporters.models import Credential, IdentityGrant, Membership, Namespace, Team
from exporters.pages import change_log

from . import people

PAGE = "/admin/changes/"


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return people.make()


def _pause(who: str, namespace: int, address: str = "192.0.2.7") -> None:
    action = {"action": "pause", "_selected_action": [namespace]}
    people.client(who).post("/admin/exporters/namespace/", action, REMOTE_ADDR=address)


def _shown(who: str, **query: str) -> list[change_log.Change]:
    answer = people.client(who).get(PAGE, query)
    assert answer.status_code == 200
    page = answer.context["page"]
    return list(page.object_list) if page else []


def test_a_change_is_shown_with_who_when_from_where_and_both_values(objects: dict[str, Any]) -> None:
    _pause("editor", objects["namespace"])
    change = _shown("viewer")[0]
    assert (change.who, change.address, change.action) == ("editor", "192.0.2.7", "Changed")
    assert (change.kind, change.name) == ("namespace", "payments-bus")
    assert [(each["old"], each["new"]) for each in change.fields] == [("yes", "no")]
    text = people.client("viewer").get(PAGE).text
    assert "192.0.2.7" in text
    assert change.url in text


def test_a_value_that_was_not_there_is_told_as_none(objects: dict[str, Any]) -> None:
    namespace = Namespace.objects.get(pk=objects["namespace"])
    namespace.requests_per_second = 40
    namespace.save()
    (field,) = _shown("viewer")[0].fields
    assert (field["old"], field["new"]) == ("", "40.0")
    assert "\N{EN DASH} → 40.0" in html.unescape(people.client("viewer").get(PAGE).text)


def test_labels_are_told_as_they_are_entered(objects: dict[str, Any]) -> None:
    namespace = Namespace.objects.get(pk=objects["namespace"])
    namespace.labels = {"environment": "prod", "criticality": "high"}
    namespace.save()
    (field,) = _shown("viewer")[0].fields
    assert (field["old"], field["new"]) == ("", "criticality=high, environment=prod")


def test_a_secret_is_told_by_its_fingerprint_alone(objects: dict[str, Any]) -> None:
    credential = Credential.objects.get(pk=objects["credential"])
    before = credential.secret_fingerprint
    credential.secret = credential.reveal_secret().replace("bm90IGEga2V5", "cGxhbnRlZCBrZXk=")
    credential.save()
    (change,) = [each for each in _shown("owner") if each.action == "Changed"]
    values = {each["field"]: (each["old"], each["new"]) for each in change.fields}
    assert values["Secret fingerprint"] == (before, credential.secret_fingerprint)
    text = people.client("owner").get(PAGE).text
    assert "cGxhbnRlZCBrZXk" not in text
    assert "SharedAccessKey" not in text


def test_another_teams_changes_do_not_exist(objects: dict[str, Any]) -> None:
    _pause("editor", objects["namespace"])
    Namespace.objects.get(pk=objects["namespace"]).delete()
    theirs = _shown("other-owner")
    assert {each.name.split("-")[0] for each in theirs if each.kind == "namespace"} == {"orders"}
    assert _shown("other-owner", q="payments") == []
    assert _shown("other-owner", user="editor") == []
    assert len(_shown("admin", q="payments-bus")) == 3


def test_what_an_object_was_in_its_former_team_is_not_told_to_the_new_one(objects: dict[str, Any]) -> None:
    namespace = Namespace.objects.get(pk=objects["namespace"])
    namespace.credential = Credential.objects.get(pk=objects["credential"])
    namespace.save()
    namespace.team = Team.objects.get(name="orders-team")
    namespace.credential = None
    namespace.name = "moved"
    namespace.save()
    (change,) = [each for each in _shown("other-owner") if each.name == "moved"]
    assert change.fields == []
    assert "payments" not in people.client("other-owner").get(PAGE).text
    assert {each["field"] for each in _shown("admin", q="moved")[0].fields} >= {"Team", "Name", "Credential"}


def test_the_list_is_filtered_by_team_kind_user_and_text(objects: dict[str, Any]) -> None:
    _pause("editor", objects["namespace"])
    _pause("admin", objects["other_namespace"], "198.51.100.1")
    assert [each.name for each in _shown("admin", kind="namespace", user="editor")] == ["payments-bus"]
    assert [each.name for each in _shown("admin", q="198.51.100.1")] == ["orders-bus"]
    of_orders = _shown("admin", team=str(objects["other_team"]))
    assert "orders-bus" in {each.name for each in of_orders}
    assert not [each for each in of_orders if "payments" in each.name]


@pytest.mark.parametrize(
    "query",
    [
        {"team": "x"},
        {"team": "9" * 40},
        {"kind": "session"},
        {"user": "x" * 200},
        {"q": "x" * 300},
    ],
)
def test_a_choice_that_is_not_offered_is_a_fault_in_the_form(
    objects: dict[str, Any], query: dict[str, str]
) -> None:
    answer = people.client("admin").get(PAGE, query)
    assert answer.status_code == 200
    assert answer.context["page"] is None
    assert "note bad" in answer.text


def test_a_user_without_changes_finds_none(objects: dict[str, Any]) -> None:
    assert _shown("admin", user="nobody") == []


@pytest.mark.parametrize("number", ["x", "0", "-1", "9" * 40, ""])
def test_a_page_number_that_is_none_shows_a_page(objects: dict[str, Any], number: str) -> None:
    assert _shown("admin", page=number)


def test_the_newest_change_is_first_and_older_ones_are_on_further_pages(objects: dict[str, Any]) -> None:
    for number in range(change_log.PER_PAGE + 5):
        Team.objects.create(name=f"paged-{number:03}")
    assert _shown("admin")[0].name == f"paged-{change_log.PER_PAGE + 4:03}"
    assert len(_shown("admin", q="paged")) == change_log.PER_PAGE
    assert [each.name for each in _shown("admin", q="paged", page="2")] == [
        f"paged-{n:03}" for n in (4, 3, 2, 1, 0)
    ]


def test_who_made_a_change_is_still_named_when_the_user_is_gone(objects: dict[str, Any]) -> None:
    _pause("editor", objects["namespace"])
    User.objects.get(username="editor").delete()
    changes = _shown("owner", user="editor")
    assert [each.who for each in changes] == ["editor"]
    gone = [each for each in _shown("owner", kind="membership") if each.action == "Deleted"]
    assert len(gone) == 1  # the membership was deleted with its user, and its row can still be shown


def test_grants_of_the_platforms_identities_are_in_it(objects: dict[str, Any]) -> None:
    credential = Credential.objects.create(name="hub-identity", kind=Credential.Kind.MANAGED_IDENTITY)
    team = Team.objects.get(pk=objects["team"])
    IdentityGrant.objects.create(credential=credential, team=team, hosts=["a.servicebus.windows.net"])
    assert [each.kind for each in _shown("owner", q="hub-identity")] == ["identity grant"]
    assert _shown("other-owner", q="hub-identity") == []


def test_who_is_in_no_team_sees_none(objects: dict[str, Any]) -> None:
    Membership.objects.filter(user__username="viewer").delete()
    assert people.client("viewer").get(PAGE).status_code == 302
