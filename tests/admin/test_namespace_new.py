"""A namespace is added in one form: paste, test, and save it with its credential."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db.models.signals import pre_save
from django.test import Client

from exporters.models import Credential, Membership, Namespace, Team
from simulator import SimulatedNamespace
from tests.web.conftest import hub

__all__ = ["hub"]

PATH = "/admin/exporters/namespace/new/"
Role = Membership.Role
As = Callable[[str], Client]


@pytest.fixture
def team(hub: None) -> Team:
    return Team.objects.create(name="payments")


@pytest.fixture
def as_role(team: Team, django_user_model: Any) -> As:
    """Sign in as a member of the team with this role."""

    def sign_in(role: str) -> Client:
        user = django_user_model.objects.create_user(role, password="pass-pass-pass", is_staff=True)
        Membership.objects.create(user=user, team=team, role=role)
        client = Client()
        client.force_login(user)
        return client

    return sign_in


def _filled(team: Team, secret: str, do: str, **more: str) -> dict[str, str]:
    return {"connection_string": secret, "name": "fresh", "team": str(team.pk), "do": do, **more}


def _errors(answer: Any) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = answer.context["form"].errors
    return errors


def test_pasting_is_answered_with_what_the_string_is_for(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    answer = as_role(Role.EDITOR).post(PATH, _filled(team, bus.connection_string, "parse"))
    said = answer.json()
    assert said["name"] == "payments"
    assert bus.host in said["html"]
    assert "RootManageSharedAccessKey" in said["html"]
    assert "root key" in said["html"]
    assert bus.key not in said["html"]


def test_what_is_no_connection_string_is_said_at_once(as_role: As, team: Team) -> None:
    said = as_role(Role.EDITOR).post(PATH, _filled(team, "Endpoint=sb://x/;Nonsense", "parse")).json()
    assert "part without “=”" in said["error"]


def test_what_is_wrong_with_the_string_stands_at_its_field_also_without_a_name(
    as_role: As, team: Team
) -> None:
    answer = as_role(Role.EDITOR).post(PATH, _filled(team, "hello", "test", name=""))
    errors = _errors(answer)
    assert list(errors) == ["connection_string"]  # the string suggests the name
    assert "part without “=”" in errors["connection_string"][0]


@pytest.mark.parametrize("around", ['"{}"', "'{}'", "“{}”", ' "{}"\n'])
def test_quotes_that_were_copied_with_the_string_do_no_harm(
    as_role: As, team: Team, bus: SimulatedNamespace, around: str
) -> None:
    owner, text = as_role(Role.OWNER), around.format(bus.connection_string)
    assert owner.post(PATH, _filled(team, text, "parse")).json()["name"] == "payments"
    assert owner.post(PATH, _filled(team, text, "save", name="")).status_code == 302
    assert Credential.objects.get().reveal_secret() == bus.connection_string


def test_a_string_that_a_terminal_has_broken_into_lines_is_put_together(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    whole = bus.connection_string
    broken = f"{whole[:50]}\r\n{whole[50:90]}\n  {whole[90:]}"
    assert as_role(Role.OWNER).post(PATH, _filled(team, broken, "save")).status_code == 302
    assert Credential.objects.get().reveal_secret() == whole


def test_an_owner_stores_the_credential_and_the_namespace_in_one_go(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    answer = as_role(Role.OWNER).post(PATH, _filled(team, bus.connection_string, "save"))
    namespace = Namespace.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"/admin/exporters/namespace/{namespace.pk}/status/"
    assert (namespace.name, namespace.team) == ("fresh", team)
    credential = Credential.objects.get()
    assert (namespace.credential, credential.name, credential.team) == (credential, "fresh", team)
    assert credential.reveal_secret() == bus.connection_string


def test_an_editor_may_test_a_string_but_not_store_it(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    editor = as_role(Role.EDITOR)
    tested = editor.post(PATH, _filled(team, bus.connection_string, "test"))
    assert tested.context["connection_test"].ok
    answer = editor.post(PATH, _filled(team, bus.connection_string, "save"))
    assert "Only owners of team payments" in _errors(answer)["connection_string"][0]
    assert not Credential.objects.exists()
    assert not Namespace.objects.exists()


def test_an_editor_picks_a_credential_of_the_team(as_role: As, team: Team, bus: SimulatedNamespace) -> None:
    credential = Credential.objects.create(name="key", team=team, secret=bus.connection_string)
    data = _filled(team, "", "save", credential=str(credential.pk))
    assert as_role(Role.EDITOR).post(PATH, data).status_code == 302
    assert Namespace.objects.get().credential == credential


def test_a_string_that_the_team_has_stored_already_is_not_stored_twice(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    credential = Credential.objects.create(name="key", team=team, secret=bus.connection_string)
    editor = as_role(Role.EDITOR)
    assert (
        "credential key has the same connection string"
        in editor.post(PATH, _filled(team, bus.connection_string, "parse")).json()["html"]
    )
    answer = editor.post(PATH, _filled(team, bus.connection_string, "save"))
    assert answer.status_code == 302
    assert Namespace.objects.get().credential == credential
    assert Credential.objects.count() == 1


def test_another_teams_credential_can_neither_be_chosen_nor_found(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    other = Team.objects.create(name="other")
    foreign = Credential.objects.create(name="foreign", team=other, secret=bus.connection_string)
    owner = as_role(Role.OWNER)
    answer = owner.post(PATH, _filled(team, "", "save", credential=str(foreign.pk)))
    assert "credential" in _errors(answer)
    assert "foreign" not in answer.content.decode()
    parsed = owner.post(PATH, _filled(other, bus.connection_string, "parse"))
    assert "has the same connection string" not in parsed.json()["html"]
    assert "team" in _errors(owner.post(PATH, _filled(other, bus.connection_string, "save")))


def test_on_a_hub_without_teams_an_administrator_is_led_to_add_one(hub: None, administrator: Any) -> None:
    client = Client()
    client.force_login(administrator)
    page = client.get(PATH).content.decode()
    assert "No teams yet" in page
    assert 'href="/admin/exporters/team/add/"' in page


def test_a_viewer_may_not_add(as_role: As, team: Team) -> None:
    assert as_role(Role.VIEWER).get(PATH).status_code == 403


def test_what_was_typed_survives_an_error_and_no_page_shows_the_secret(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    owner = as_role(Role.OWNER)
    answer = owner.post(PATH, _filled(team, bus.connection_string, "save", name="Not a name"))
    page = answer.content.decode()
    assert bus.key not in page
    assert 'value="Not a name"' in page
    handle = page.partition('name="connection_string_held" value="')[2].partition('"')[0]
    data = _filled(team, "", "save", connection_string_held=handle)
    assert owner.post(PATH, data).status_code == 302
    assert Credential.objects.get().reveal_secret() == bus.connection_string


def test_a_failed_test_keeps_nobody_from_saving_and_it_says_so(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    owner = as_role(Role.OWNER)
    wrong = bus.connection_string.replace(bus.key, "d3Jvbmc=")
    tested = owner.post(PATH, _filled(team, wrong, "test"))
    assert "Save anyway" in tested.content.decode()
    saved = owner.post(PATH, _filled(team, wrong, "save", tested="failed"))
    assert "The connection test failed" in str(next(iter(get_messages(saved.wsgi_request))))


def test_without_a_name_the_suggested_one_is_taken(as_role: As, team: Team, bus: SimulatedNamespace) -> None:
    as_role(Role.OWNER).post(PATH, _filled(team, bus.connection_string, "save", name=""))
    assert Namespace.objects.get().name == "payments"


def test_a_script_gets_each_step_as_it_ends(as_role: As, team: Team, bus: SimulatedNamespace) -> None:
    answer: Any = as_role(Role.EDITOR).post(
        PATH, _filled(team, bus.connection_string, "test"), headers={"X-Follow": "1"}
    )
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert [("step" in line) for line in lines] == [True] * 8 + [False]
    assert lines[-1]["ok"] is True
    assert "servicebus_queue_active_messages" in lines[-1]["result"]
    assert bus.key not in json.dumps(lines)


def test_a_script_that_asks_for_too_little_gets_the_errors(as_role: As, team: Team) -> None:
    answer = as_role(Role.EDITOR).post(PATH, _filled(team, "", "test"), headers={"X-Follow": "1"})
    said = json.loads(answer.content)
    assert said["ok"] is None
    assert "Paste a connection string" in said["result"]


def test_a_name_that_is_taken_is_said_at_the_field(as_role: As, team: Team, bus: SimulatedNamespace) -> None:
    Namespace.objects.create(name="fresh", team=team, host=bus.host)
    answer = as_role(Role.OWNER).post(PATH, _filled(team, bus.connection_string, "save"))
    assert "A namespace with this name already exists" in _errors(answer)["name"][0]
    assert not Credential.objects.exists()


def test_a_name_that_is_taken_while_it_is_saved_is_said_at_the_field(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    def somebody_else(**of_signal: Any) -> None:
        Namespace.objects.bulk_create([Namespace(name="fresh", team=team, host=bus.host)])

    owner = as_role(Role.OWNER)
    pre_save.connect(somebody_else, sender=Namespace)
    try:
        answer = owner.post(PATH, _filled(team, bus.connection_string, "save"))
    finally:
        pre_save.disconnect(somebody_else, sender=Namespace)
    assert answer.status_code == 200
    assert "This name has just been taken" in _errors(answer)["name"][0]
    assert not Credential.objects.exists()


def test_the_name_of_another_teams_credential_changes_nothing(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    elsewhere = Team.objects.create(name="orders")
    Credential.objects.create(name="fresh", team=elsewhere, secret=bus.connection_string)
    as_role(Role.OWNER).post(PATH, _filled(team, bus.connection_string, "save"))
    assert Credential.objects.get(team=team).name == "fresh"


def test_help_at_the_name_shows_no_broken_path(as_role: As, team: Team) -> None:
    assert "/metrics/ followed by this name" in as_role(Role.OWNER).get(PATH).content.decode()


def test_a_string_and_a_credential_at_once_are_refused(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    credential = Credential.objects.create(name="key", team=team, secret=bus.connection_string)
    data = _filled(team, bus.connection_string, "save", credential=str(credential.pk))
    assert "not both" in _errors(as_role(Role.OWNER).post(PATH, data))["credential"][0]


def test_a_host_that_contradicts_the_string_is_said_at_the_host(
    as_role: As, team: Team, bus: SimulatedNamespace
) -> None:
    data = _filled(team, bus.connection_string, "save", host="other.servicebus.localhost")
    assert "connection string is for" in _errors(as_role(Role.OWNER).post(PATH, data))["host"][0]
