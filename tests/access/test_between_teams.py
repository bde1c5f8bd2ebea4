"""Objects that moved between teams, and objects that teams share, reveal nothing of the other team's."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from exporters.models import Credential, IdentityGrant, LabelRule, Membership, Namespace, ScrapeToken, Team

from . import people

ADMIN = "/admin/exporters"


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return people.make()


@pytest.fixture
def moved(objects: dict[str, Any]) -> Namespace:
    """A namespace that moved from payments to orders and was renamed; a token of payments still lists it."""
    namespace = Namespace.objects.get(pk=objects["namespace"])
    ScrapeToken.objects.filter(pk=objects["token"]).update(scope="listed")
    ScrapeToken.objects.get(pk=objects["token"]).namespaces.add(namespace)
    namespace.team_id, namespace.name = objects["other_team"], "renamed-there"
    namespace.save()
    return namespace


@pytest.fixture
def identity(objects: dict[str, Any]) -> Credential:
    """An identity of the hub that both teams use."""
    identity = Credential.objects.create(name="hub-identity", kind=Credential.Kind.MANAGED_IDENTITY)
    for team in Team.objects.all():
        host = f"{team.name}.servicebus.windows.net"
        IdentityGrant.objects.create(credential=identity, team=team, hosts=[f"{host}:443"])
        Namespace.objects.create(name=f"{team.name}-x", team=team, host=host, credential=identity)
    return identity


@pytest.mark.parametrize("who", ["viewer", "owner"])
@pytest.mark.parametrize(
    "page", ["scrapetoken/{token}/change/", "scrapetoken/{token}/history/", "scrapetoken/"]
)
def test_the_former_team_does_not_learn_what_a_namespace_is_called_now(
    objects: dict[str, Any], moved: Namespace, who: str, page: str
) -> None:
    answer = people.client(who).get(f"{ADMIN}/{page.format(**objects)}")
    assert answer.status_code == 200
    assert "renamed-there" not in answer.text


def test_nor_does_the_list_of_all_changes_tell_it(objects: dict[str, Any], moved: Namespace) -> None:
    assert "renamed-there" not in people.client("owner").get("/admin/changes/").text
    assert "[renamed-there]" in people.client("admin").get("/admin/changes/").text


def test_nor_is_a_token_found_by_it(objects: dict[str, Any], moved: Namespace) -> None:
    def found(who: str) -> int:
        return int(people.client(who).get(f"{ADMIN}/scrapetoken/?q=renamed").context["cl"].result_count)

    assert (found("owner"), found("admin")) == (0, 1)


def test_a_token_of_the_former_team_can_be_given_other_namespaces(
    objects: dict[str, Any], moved: Namespace
) -> None:
    own = Namespace.objects.create(name="own", team_id=objects["team"], host="own.servicebus.windows.net")
    form = {"name": "token", "scope": "listed", "namespaces": [str(own.pk)]}
    answer = people.client("editor").post(f"{ADMIN}/scrapetoken/{objects['token']}/change/", form)
    assert answer.status_code == 302
    assert ScrapeToken.objects.get(pk=objects["token"]).listed() == [own]


def test_a_rule_goes_with_its_namespace_and_its_history_begins_with_that(objects: dict[str, Any]) -> None:
    namespace = Namespace.objects.get(pk=objects["namespace"])
    rule = LabelRule.objects.create(namespace=namespace, target_label="its")
    namespace.team_id = objects["other_team"]
    namespace.save()
    rule.refresh_from_db()
    assert rule.team_id == objects["other_team"]
    answer = people.client("other-viewer").get(f"{ADMIN}/labelrule/{rule.pk}/history/")
    assert answer.status_code == 200
    assert "deleted with its namespace" in answer.text


@pytest.mark.parametrize("relation", ["namespaces", "grants"])
def test_a_shared_identity_is_not_filtered_by_what_another_team_does_with_it(
    objects: dict[str, Any], identity: Credential, relation: str
) -> None:
    related = {"namespaces": Namespace, "grants": IdentityGrant}[relation]
    theirs = related.objects.get(team_id=objects["other_team"], credential=identity)
    for who in ("owner", "admin"):
        for number in (theirs.pk, 987654):
            answer = people.client(who).get(f"{ADMIN}/credential/?{relation}={number}")
            assert answer.status_code == 400


@pytest.mark.parametrize("screen", ["exporters/namespace", "exporters/credential", "auth/user"])
@pytest.mark.parametrize("number", ["abc", "1e1", "5%00", "_5f", "9" * 30])
def test_an_address_without_a_number_names_nothing(objects: dict[str, Any], screen: str, number: str) -> None:
    for page in ("change", "history", "delete"):
        assert people.client("admin").get(f"/admin/{screen}/{number}/{page}/").status_code == 404


@pytest.mark.parametrize("who", ["viewer", "owner", "admin"])
def test_what_no_form_has_is_not_completed(objects: dict[str, Any], who: str) -> None:
    query = {"app_label": "exporters", "model_name": "credential", "field_name": "namespaces"}
    assert people.client(who).get("/admin/autocomplete/", query).status_code == 403


def test_a_row_of_another_teams_table_is_refused_like_one_that_does_not_exist(
    objects: dict[str, Any],
) -> None:
    form = {
        "description": "d",
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "1",
        "memberships-0-team": str(objects["team"]),
        "memberships-0-user": "viewer",
        "memberships-0-role": "owner",
    }
    told = []
    for number in (objects["other_member"], 987654):
        address = f"{ADMIN}/team/{objects['team']}/change/"
        answer = people.client("owner").post(address, form | {"memberships-0-id": str(number)})
        assert answer.status_code == 200
        told.append(str(answer.context["errors"]))
    assert told[0] == told[1]
    assert "Select a valid choice" in told[0]
    assert Membership.objects.get(pk=objects["other_member"]).user.username == "other-viewer"


def test_the_address_of_a_user_is_not_guessed_by_searching_members(objects: dict[str, Any]) -> None:
    User.objects.filter(username="viewer").update(email="secretly@example.org")

    def found(who: str) -> int:
        return int(people.client(who).get(f"{ADMIN}/membership/?q=secretly").context["cl"].result_count)

    assert (found("owner"), found("admin")) == (0, 1)
