"""Choosing from long lists, with and without JavaScript."""

from typing import Any

import pytest
from django.test import Client

from exporters.models import Credential, IdentityGrant, Namespace, ScrapeToken, Team
from tests.access import people

ADMIN = "/admin/exporters"
SECRET = "Endpoint=sb://{}.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=bm90IGEga2V5"
LIMITS = {
    "concurrency": 16,
    "timeout_seconds": 9.5,
    "cache_seconds": 0,
    "max_age_seconds": 300,
    "max_entities": 20_000,
    "metric_groups": ["counts"],
}


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return people.make()


@pytest.fixture
def many(objects: dict[str, Any]) -> dict[str, Any]:
    """More credentials, teams and namespaces than a page lists."""
    team = Team.objects.get(pk=objects["team"])
    numbers = range(101)
    Team.objects.bulk_create(Team(name=f"crowd-{number:03}") for number in numbers)
    Credential.objects.bulk_create(
        Credential(name=f"key-{number:03}", team=team, secret=SECRET.format(f"bus-{number:03}"))
        for number in numbers
    )
    Namespace.objects.bulk_create(Namespace(name=f"bus-{number:03}", team=team) for number in numbers)
    return objects


def _field(page: str, name: str) -> str:
    return page.partition(f'id="id_{name}"')[2].partition("</div>")[0]


def _errors(answer: Any, name: str) -> str:
    return str(answer.context["adminform"].form.errors[name][0])


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (f"{ADMIN}/namespace/add/", "credential"),
        (f"{ADMIN}/namespace/new/", "credential"),
        (f"{ADMIN}/labelrule/add/", "namespace"),
        (f"{ADMIN}/scrapetoken/add/", "namespaces"),
    ],
)
def test_a_name_can_be_written_without_javascript_where_a_list_would_be_long(
    many: dict[str, Any], address: str, name: str
) -> None:
    field = _field(people.client("editor").get(address).content.decode(), name)
    assert field.count("<option") <= 1
    assert "<noscript>" in field
    assert f'name="{name}-named"' in field


def test_few_choices_are_a_list_and_no_box_for_a_name(objects: dict[str, Any]) -> None:
    page = people.client("editor").get(f"{ADMIN}/namespace/new/").content.decode()
    assert ">payments-key (payments-team)</option>" in page
    assert "-named" not in page


def test_a_written_name_is_the_choice(many: dict[str, Any]) -> None:
    form = {"name": "named", "team": many["team"], "credential-named": "key-007", "do": "save"}
    answer = people.client("editor").post(f"{ADMIN}/namespace/new/", form)
    assert answer.status_code == 302
    assert Namespace.objects.get(name="named").credential == Credential.objects.get(name="key-007")


def test_written_names_are_added_to_those_that_are_chosen(many: dict[str, Any]) -> None:
    form = {
        "name": "few",
        "team": many["team"],
        "scope": "listed",
        "namespaces": [many["namespace"]],
        "namespaces-named": "bus-001\r\n bus-002 \r\n",
    }
    answer = people.client("editor").post(f"{ADMIN}/scrapetoken/add/", form)
    assert answer.status_code == 200
    assert "new-token" in answer.content.decode()
    listed = ScrapeToken.objects.get(name="few").namespaces.values_list("name", flat=True)
    assert sorted(listed) == ["bus-001", "bus-002", "payments-bus"]


@pytest.mark.parametrize("name", ["missing", "orders-key", "5101", "6201"])
def test_a_written_name_that_is_none_is_refused_and_kept(many: dict[str, Any], name: str) -> None:
    """Another team's name is treated as unknown, and an ID is not a name."""
    form = {**LIMITS, "name": "named", "team": many["team"], "host": "x", "credential-named": name}
    answer = people.client("editor").post(f"{ADMIN}/namespace/add/", form)
    assert _errors(answer, "credential").startswith(f"Select a valid choice. “{name}” doesn't exist")
    assert f'name="credential-named" value="{name}"' in answer.content.decode()


def test_wrong_names_of_a_list_are_refused_together_with_the_right_ones_kept(many: dict[str, Any]) -> None:
    form = {"name": "few", "team": many["team"], "scope": "listed", "namespaces-named": "bus-001\nmissing"}
    answer = people.client("editor").post(f"{ADMIN}/scrapetoken/add/", form)
    assert "“missing”" in _errors(answer, "namespaces")
    field = _field(answer.content.decode(), "namespaces")
    assert "selected>bus-001</option>" in field
    assert ">missing</textarea>" in field


def test_the_team_tells_credentials_of_one_name_apart(many: dict[str, Any]) -> None:
    other = Team.objects.get(pk=many["other_team"])
    theirs = Credential.objects.create(name="key-007", team=other, secret=SECRET.format("theirs"))
    admin = people.client("admin")
    form = {"name": "named", "team": other.pk, "credential-named": "key-007", "do": "save"}
    answer = admin.post(f"{ADMIN}/namespace/new/", form)
    assert "several have this name" in answer.content.decode()
    form["credential-named"] = "orders-team/key-007"
    assert admin.post(f"{ADMIN}/namespace/new/", form).status_code == 302
    assert Namespace.objects.get(name="named").credential == theirs


def test_a_look_up_tells_the_team_of_a_credential(many: dict[str, Any]) -> None:
    query = {
        "app_label": "exporters",
        "model_name": "namespace",
        "field_name": "credential",
        "term": "key-007",
    }
    found = people.client("editor").get("/admin/autocomplete/", query).json()["results"]
    assert [each["text"] for each in found] == ["key-007 (payments-team)"]


def test_a_list_is_filtered_by_a_team_that_is_typed_where_there_are_many(many: dict[str, Any]) -> None:
    address = f"{ADMIN}/namespace/"
    admin = people.client("admin")
    page = admin.get(address, {"q": "bus", "enabled__exact": "1"}).content.decode()
    form = page.partition('<input id="filter-team"')[2].partition("</form>")[0]
    assert "<option>crowd-050</option>" in form
    assert '<input type="hidden" name="q" value="bus">' in form
    assert '<input type="hidden" name="enabled__exact" value="1">' in form
    assert _names(admin, address, "orders-team") == ["orders-bus"]
    assert _names(admin, address, "no-such-team") == []


def test_a_list_is_filtered_by_no_team_that_one_does_not_see(many: dict[str, Any]) -> None:
    editor = people.client("editor")
    assert "orders-team" not in editor.get(f"{ADMIN}/namespace/").content.decode()
    assert _names(editor, f"{ADMIN}/namespace/", "orders-team") == []
    assert len(_names(editor, f"{ADMIN}/namespace/", "payments-team")) == 50


def _names(client: Client, address: str, team: str) -> list[str]:
    return [each.name for each in client.get(address, {"team": team}).context["cl"].result_list]


def test_an_identity_of_many_teams_shows_some_grants_and_finds_the_others(many: dict[str, Any]) -> None:
    identity = Credential.objects.create(name="hub-identity", kind=Credential.Kind.MANAGED_IDENTITY)
    host = "payments.servicebus.windows.net"
    IdentityGrant.objects.bulk_create(
        IdentityGrant(credential=identity, team=team, hosts=[host]) for team in Team.objects.all()
    )
    address = f"{ADMIN}/credential/{identity.pk}/change/"
    admin = people.client("admin")
    page = admin.get(address)
    assert "Granted to</dt><dd>103 teams" in page.content.decode()
    assert len(_rows(page)) == 25
    page = admin.get(address, {"grants": "crowd-099"})
    (row,) = _rows(page)
    form = {
        "name": identity.name,
        "kind": identity.kind,
        "seen": page.context["seen"],
        "grants-TOTAL_FORMS": 1,
        "grants-INITIAL_FORMS": 1,
        "grants-0-id": row.instance.pk,
        "grants-0-credential": identity.pk,
        "grants-0-team": row.instance.team_id,
        "grants-0-hosts": "other.servicebus.windows.net",
    }
    assert admin.post(f"{address}?grants=crowd-099", form).status_code == 302
    assert IdentityGrant.objects.get(pk=row.instance.pk).hosts == ["other.servicebus.windows.net"]
    assert IdentityGrant.objects.filter(credential=identity, hosts=[host]).count() == 102


def _rows(page: Any) -> list[Any]:
    (inline,) = page.context["inline_admin_formsets"]
    return list(inline.formset.initial_forms)
