"""A team's own credential is sent only to hosts that its owners allowed, whoever requests it and however."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from exporters import hub_yaml
from exporters.configuration import derivation, loading
from exporters.models import Credential, Namespace

from . import people
from .test_hidden_choices import _namespace_form

ADMIN = "/admin/exporters"
ALLOWED = "payments.servicebus.windows.net"
# Hosts to which an editor might try to have the token sent.
OTHER = [
    "stolen.servicebus.windows.net",
    f"{ALLOWED}:8443",
    f"x.{ALLOWED}",
    "payments.servicebus.usgovcloudapi.net",
]
TENANT, CLIENT = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return people.make()


@pytest.fixture
def entra(objects: dict[str, Any]) -> Credential:
    credential = Credential(
        pk=8200,
        name="entra",
        team_id=objects["team"],
        kind=Credential.Kind.CLIENT_SECRET,
        secret="a-client-secret-of-payments",
        tenant_id=TENANT,
        client_id=CLIENT,
        hosts=[ALLOWED.upper() + "."],
    )
    credential.full_clean()
    credential.save()
    return credential


def _stored(objects: dict[str, Any], entra: Credential, host: str) -> Namespace:
    namespace = Namespace.objects.get(pk=objects["namespace"])
    namespace.credential, namespace.host = entra, host
    return namespace


def _new(host: str, objects: dict[str, Any], do: str = "save") -> dict[str, Any]:
    return {"do": do, "name": "new", "host": host, "credential": 8200, "team": objects["team"]}


@pytest.mark.parametrize("host", OTHER)
def test_an_editor_sends_it_nowhere_else(objects: dict[str, Any], entra: Credential, host: str) -> None:
    editor = people.client("editor")
    for do in ("test", "save"):
        form = editor.post(f"{ADMIN}/namespace/new/", _new(host, objects, do)).context["form"]
        assert f"Ask an owner of team payments-team to add {host}" in form.errors["credential"][0]
    answer = editor.post(f"{ADMIN}/namespace/new/", _new(host, objects, "test"), headers={"X-Follow": "1"})
    assert "Ask an owner" in answer.text
    namespace = Namespace.objects.get(pk=objects["namespace"])
    form = _namespace_form(namespace) | {"host": host, "credential": 8200}
    for address in (f"{ADMIN}/namespace/{namespace.pk}/change/", f"{ADMIN}/namespace/add/"):
        found = editor.post(address, form | {"name": "other"}).context["adminform"].form.errors
        assert "Ask an owner" in found["credential"][0]
    entra.refresh_from_db()
    assert entra.hosts == [ALLOWED]
    assert not Namespace.objects.filter(credential=entra).exists()


def test_an_editor_uses_it_where_it_is_allowed(objects: dict[str, Any], entra: Credential) -> None:
    answer = people.client("editor").post(f"{ADMIN}/namespace/new/", _new(ALLOWED, objects))
    assert answer.status_code == 302
    assert loading.load().targets["new"].credential is not None


@pytest.mark.parametrize("who", ["owner", "admin"])
def test_an_owner_allows_a_host_by_saving_a_namespace_there(
    objects: dict[str, Any], entra: Credential, who: str
) -> None:
    host = "second.servicebus.windows.net"
    tested = people.client(who).post(f"{ADMIN}/namespace/new/", _new(host, objects, "test"))
    assert not tested.context["form"].errors
    entra.refresh_from_db()
    assert entra.hosts == [ALLOWED], "a test stores nothing"
    if who == "admin":
        form = _namespace_form(Namespace.objects.get(pk=objects["namespace"]))
        form |= {"host": host, "credential": 8200, "name": "new"}
        answer = people.client(who).post(f"{ADMIN}/namespace/{objects['namespace']}/change/", form)
    else:
        answer = people.client(who).post(f"{ADMIN}/namespace/new/", _new(host, objects))
    assert answer.status_code == 302
    entra.refresh_from_db()
    assert entra.hosts == [ALLOWED, host]
    assert entra.reveal_secret() == "a-client-secret-of-payments"
    assert entra.history.first().history_change_reason == "assigned to a namespace"
    assert loading.load().targets["new"].credential is not None


def test_an_owner_of_another_team_allows_nothing(objects: dict[str, Any], entra: Credential) -> None:
    for who in ("other-owner", "viewer", "nobody"):
        people.client(who).post(f"{ADMIN}/namespace/new/", _new(OTHER[0], objects))
    entra.refresh_from_db()
    assert entra.hosts == [ALLOWED]


def test_a_change_that_is_not_about_the_host_allows_none(objects: dict[str, Any], entra: Credential) -> None:
    """The host reached the database in another way. An owner who edits the limits has not reviewed it."""
    namespace = _stored(objects, entra, OTHER[0])
    namespace.save()
    form = _namespace_form(namespace) | {"credential": 8200, "concurrency": 3}
    answer = people.client("owner").post(f"{ADMIN}/namespace/{namespace.pk}/change/", form)
    assert "Ask an owner" in answer.context["adminform"].form.errors["credential"][0]
    entra.refresh_from_db()
    assert entra.hosts == [ALLOWED]


@pytest.mark.parametrize("host", OTHER)
def test_however_it_came_into_the_database_it_is_not_used(
    objects: dict[str, Any], entra: Credential, host: str
) -> None:
    with pytest.raises(ValidationError):
        _stored(objects, entra, host).full_clean()
    _stored(objects, entra, host).save()
    target = loading.load().targets["payments-bus"]
    assert target.credential is target.spare is None
    assert "may not be sent to" in str(target.problem)
    form = {"action": "test", "_selected_action": [objects["namespace"]]}
    answer = people.client("editor").post(f"{ADMIN}/namespace/", form, follow=True)
    assert "may not be sent to" in answer.text
    # An owner's test of either secret replaces the one in the target, and must run the same check.
    answer = people.client("owner").post(
        f"{ADMIN}/credential/8200/spare/", {"do": "test-active"}, follow=True
    )
    assert "was not tested for payments-bus" in answer.text


@pytest.mark.parametrize("hosts", [[], None, ""])
def test_without_hosts_it_is_sent_nowhere(objects: dict[str, Any], entra: Credential, hosts: Any) -> None:
    Credential.objects.filter(pk=entra.pk).update(hosts=hosts or [])
    entra.refresh_from_db()
    assert derivation.target(_stored(objects, entra, ALLOWED)).credential is None


def test_a_host_in_use_is_not_taken_away(objects: dict[str, Any], entra: Credential) -> None:
    _stored(objects, entra, ALLOWED).save()
    form = {
        "name": "entra",
        "team": objects["team"],
        "kind": "client_secret",
        "hosts": "a.servicebus.windows.net",
    }
    form |= {"tenant_id": TENANT, "client_id": CLIENT}
    answer = people.client("owner").post(f"{ADMIN}/credential/8200/change/", form)
    assert f"for {ALLOWED}. Add that host here." in answer.context["adminform"].form.errors["hosts"][0]
    form["hosts"] = f"a.servicebus.windows.net\n{ALLOWED}"
    assert people.client("owner").post(f"{ADMIN}/credential/8200/change/", form).status_code == 302
    entra.refresh_from_db()
    assert entra.hosts == ["a.servicebus.windows.net", ALLOWED]
    form["hosts"] = "evil.example"
    answer = people.client("owner").post(f"{ADMIN}/credential/8200/change/", form)
    assert "is not a Service Bus endpoint" in answer.context["adminform"].form.errors["hosts"][0]


def test_hub_yaml_names_the_hosts(objects: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRA_SECRET", "from-the-environment")
    text = (
        "credentials:\n  - {name: of-the-file, team: payments-team, kind: client_secret, secret: {env: ENTRA_SECRET},"
        f" tenant_id: {TENANT}, client_id: {CLIENT}%s}}\n"
        "namespaces:\n  - {name: of-the-file, team: payments-team, credential: of-the-file,"
        f" host: {ALLOWED}}}\n"
    )
    for hosts in ("", ", hosts: []", ", hosts: [stolen.servicebus.windows.net]"):
        assert any("may not be sent to" in message for message in hub_yaml.plan(text % hosts).messages())
    (message,) = hub_yaml.plan(text % ", hosts: [evil.example]").messages()
    assert "is not a Service Bus endpoint" in message
    good = text % f", hosts: [{ALLOWED.upper()}]"
    hub_yaml.apply(hub_yaml.plan(good))
    assert not hub_yaml.plan(good).changes
    assert not hub_yaml.plan(hub_yaml.export()).changes
    # Objects from the file are changed in the file, even by an owner.
    form = {"do": "test", "name": "new", "host": OTHER[0], "team": objects["team"]}
    form["credential"] = Credential.objects.get(name="of-the-file").pk
    found = people.client("owner").post(f"{ADMIN}/namespace/new/", form).context["form"].errors
    assert "may not be sent to" in found["credential"][0]


def test_a_credential_of_the_platform_takes_grants_instead(entra: Credential) -> None:
    entra.team = None
    with pytest.raises(ValidationError) as refused:
        entra.full_clean()
    assert "hosts" in refused.value.message_dict


@pytest.mark.parametrize("host", OTHER)
def test_a_host_beside_a_connection_string_leads_it_nowhere(objects: dict[str, Any], host: str) -> None:
    key = Credential.objects.get(pk=objects["credential"])
    form = _new(host, objects, "test") | {"credential": key.pk}
    assert people.client("editor").post(f"{ADMIN}/namespace/new/", form).context["form"].errors
    namespace = _stored(objects, key, host)
    with pytest.raises(ValidationError):
        namespace.full_clean()
    namespace.save()
    target = loading.load().targets["payments-bus"]
    if target.credential is not None:  # the read itself distinguishes the two names
        from exporters.scraping import reading
        from exporters.servicebus.errors import ServiceBusError

        with pytest.raises(ServiceBusError, match="The connection string is for"):
            reading.endpoint(target)


@pytest.mark.parametrize("host", ["", ALLOWED, f"sb://{ALLOWED.title()}/"])
def test_its_own_host_needs_no_permission(objects: dict[str, Any], host: str) -> None:
    key = Credential.objects.get(pk=objects["credential"])
    namespace = _stored(objects, key, host)
    namespace.full_clean()
    assert derivation.target(namespace).credential is not None


def test_an_owner_may_lead_a_connection_string_to_another_port(objects: dict[str, Any]) -> None:
    form = _new(f"{ALLOWED}:8443", objects) | {"credential": objects["credential"]}
    assert people.client("owner").post(f"{ADMIN}/namespace/new/", form).status_code == 302
    assert Credential.objects.get(pk=objects["credential"]).hosts == [f"{ALLOWED}:8443"]
