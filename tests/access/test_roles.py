"""What the table of addresses can't express: what forms offer, and what members can do across teams."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from exporters.models import Credential, LabelRule, Membership, Namespace, Team

from . import people

FILLED = {
    "concurrency": "16",
    "timeout_seconds": "9.5",
    "cache_seconds": "0",
    "max_age_seconds": "300",
    "max_entities": "20000",
}


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return people.make()


@pytest.fixture
def in_both(objects: dict[str, Any]) -> Client:
    """A user who is editor of payments and viewer of orders."""
    Membership.objects.create(user=User.objects.get(username="editor"), team_id=objects["other_team"])
    return people.client("editor")


def offered(client: Client, model: str, field: str) -> list[str]:
    query = {"app_label": "exporters", "model_name": model, "field_name": field}
    return [each["text"] for each in client.get("/admin/autocomplete/", query).json()["results"]]


def test_a_form_offers_the_teams_in_which_the_role_is_enough(in_both: Client) -> None:
    assert offered(in_both, "namespace", "team") == ["payments-team"]
    assert offered(in_both, "credential", "team") == []
    assert sorted(offered(people.client("admin"), "namespace", "team")) == ["orders-team", "payments-team"]


def test_the_only_team_that_a_form_offers_is_chosen_beforehand(objects: dict[str, Any]) -> None:
    def chosen(client: Client) -> Any:
        form = client.get("/admin/exporters/scrapetoken/add/").context["adminform"].form
        return form.get_initial_for_field(form.fields["team"], "team")

    assert str(chosen(people.client("editor"))) == "payments-team"
    assert chosen(people.client("admin")) is None  # empty means something there


def test_only_who_may_leave_the_team_empty_is_told_what_that_means(objects: dict[str, Any]) -> None:
    for model in ("scrapetoken", "walllink"):
        address = f"/admin/exporters/{model}/add/"
        for telling in ("Leave empty for a ", "All namespaces of all teams"):
            assert telling not in people.client("owner").get(address).content.decode()
            assert telling in people.client("admin").get(address).content.decode()


def test_a_form_offers_no_credential_of_a_team_where_one_only_looks(in_both: Client) -> None:
    assert offered(in_both, "namespace", "credential") == ["payments-key (payments-team)"]


def test_moving_an_object_takes_the_role_in_both_teams(in_both: Client, objects: dict[str, Any]) -> None:
    address = f"/admin/exporters/namespace/{objects['namespace']}/change/"
    fields = FILLED | {"name": "x", "host": "x.servicebus.windows.net", "team": objects["other_team"]}
    assert in_both.post(address, fields).status_code == 200
    Membership.objects.filter(user__username="editor").update(role=Membership.Role.EDITOR)
    assert in_both.post(address, fields).status_code == 302
    assert Namespace.objects.get(name="x").team_id == objects["other_team"]


def test_the_history_in_a_new_team_begins_with_the_move(objects: dict[str, Any]) -> None:
    namespace = Namespace.objects.get(pk=objects["namespace"])
    namespace.include = "of-the-old-team.*"
    namespace.save()
    namespace.team_id, namespace.include = objects["other_team"], ""
    namespace.save()
    address = f"/admin/exporters/namespace/{namespace.pk}/history/"
    seen = people.client("other-owner").get(address).content.decode()
    assert "payments" not in seen.split("change-history")[1]
    assert "of-the-old-team" not in seen
    assert "of-the-old-team" in people.client("admin").get(address).content.decode()


def test_the_history_of_what_was_deleted_is_the_teams_alone(objects: dict[str, Any]) -> None:
    Namespace.objects.get(pk=objects["namespace"]).delete()
    address = f"/admin/exporters/namespace/{objects['namespace']}/history/"
    assert people.client("viewer").get(address).status_code == 200
    assert people.client("other-owner").get(address).status_code == 404


def test_an_owner_adds_a_member_by_the_exact_user_name(objects: dict[str, Any]) -> None:
    client = people.client("owner")
    fields = {"team": objects["team"], "role": "editor"}
    address = "/admin/exporters/membership/add/"
    answer = client.post(address, fields | {"user": "no-such-person"})
    assert "No user has this name." in answer.content.decode()
    assert client.post(address, fields | {"user": "nobody"}).status_code == 302
    member = Membership.objects.get(user__username="nobody")
    assert (member.team_id, member.role) == (objects["team"], "editor")
    page = client.get(f"/admin/exporters/membership/{member.pk}/change/").content.decode()
    assert 'value="nobody"' in page


def test_an_owner_changes_members_on_the_teams_page(objects: dict[str, Any]) -> None:
    fields = {
        "description": "Cards",
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "1",
        "memberships-0-id": objects["member"],
        "memberships-0-team": objects["team"],
        "memberships-0-user": "viewer",
        "memberships-0-role": "editor",
    }
    address = f"/admin/exporters/team/{objects['team']}/change/"
    assert people.client("owner").post(address, fields).status_code == 302
    assert Membership.objects.get(pk=objects["member"]).role == "editor"
    assert Team.objects.get(pk=objects["team"]).description == "Cards"


def test_the_name_of_a_team_is_the_platforms(objects: dict[str, Any]) -> None:
    fields = {"name": "orders-team", "memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    address = f"/admin/exporters/team/{objects['team']}/change/"
    assert people.client("owner").post(address, fields).status_code == 302
    assert Team.objects.get(pk=objects["team"]).name == "payments-team"


@pytest.mark.parametrize("model", ["credential", "scrapetoken", "labelrule"])
def test_without_a_team_an_object_would_be_the_platforms(objects: dict[str, Any], model: str) -> None:
    fields = {"name": "x", "kind": "connection_string", "action": "replace", "target_label": "x"}
    fields |= {"separator": ";", "regex": "(.*)", "modulus": "0", "replacement": "$1"}
    answer = people.client("owner").post(f"/admin/exporters/{model}/add/", fields)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["team"]


def test_a_rule_for_one_namespace_needs_no_team(objects: dict[str, Any]) -> None:
    fields = {"action": "replace", "target_label": "x", "separator": ";", "regex": "(.*)", "modulus": "0"}
    fields |= {"replacement": "$1", "namespace": objects["namespace"]}
    assert people.client("editor").post("/admin/exporters/labelrule/add/", fields).status_code == 302
    assert LabelRule.objects.filter(team=objects["team"], target_label="x").exists()


@pytest.mark.parametrize(
    "lookup", ["secret__startswith", "team__credentials__secret__gt", "team__tokens__token_hash__startswith"]
)
def test_what_is_secret_can_not_be_guessed_by_filters(objects: dict[str, Any], lookup: str) -> None:
    answer = people.client("owner").get("/admin/exporters/credential/", {lookup: "a"})
    assert answer.status_code in {302, 400}
    assert Credential.objects.exists()


def test_who_is_in_no_team_is_told_so_after_the_right_password(objects: dict[str, Any]) -> None:
    user = User.objects.get(username="nobody")
    user.set_password("a-good-password")
    user.save()
    told = {}
    for password in ("a-good-password", "a-bad-password"):
        answer = Client().post("/admin/login/", {"username": "nobody", "password": password})
        told[password] = "a member of a team yet." in answer.content.decode()
    assert told == {"a-good-password": True, "a-bad-password": False}


def test_a_member_signs_in_without_the_staff_flag(objects: dict[str, Any]) -> None:
    user = User.objects.get(username="viewer")
    assert not user.is_staff
    user.set_password("a-good-password")
    user.save()
    answer = Client().post("/admin/login/", {"username": "viewer", "password": "a-good-password"})
    assert answer.status_code == 302


def test_djangos_own_permissions_open_nothing(objects: dict[str, Any]) -> None:
    from django.contrib.auth.models import Permission

    user = User.objects.get(username="nobody")
    user.user_permissions.set(Permission.objects.all())
    user.is_staff = True
    user.save()
    assert people.client("nobody").get("/admin/exporters/namespace/").status_code == 302
    viewer = User.objects.get(username="viewer")
    viewer.user_permissions.set(Permission.objects.all())
    assert people.client("viewer").get("/admin/auth/user/").status_code == 403


@pytest.mark.parametrize(
    ("screen", "field"), [("namespace", "team"), ("scrapetoken", "namespaces"), ("membership", "team")]
)
def test_a_choice_that_is_no_number_is_a_fault_in_the_form(db: None, screen: str, field: str) -> None:
    people.make()
    client, address = people.client("admin"), f"/admin/exporters/{screen}/add/"
    assert client.get(address, {field: "no-number"}).status_code == 200
    answer = client.post(address, {field: "no-number"})
    assert answer.status_code == 200
    assert "errorlist" in answer.text
