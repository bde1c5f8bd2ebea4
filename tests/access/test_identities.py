"""The platform's own identities: teams use them only for hosts granted to them, however they try."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from exporters import hub_yaml
from exporters.configuration import derivation, loading
from exporters.models import Credential, IdentityGrant, Namespace, Team

from . import people

HOST = "payments.servicebus.windows.net"


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    made = people.make()
    identity = Credential.objects.create(pk=8101, name="hub-identity", kind="managed_identity")
    return made | {"identity": identity.pk}


@pytest.fixture
def granted(objects: dict[str, Any]) -> IdentityGrant:
    grant = IdentityGrant(
        credential_id=objects["identity"], team_id=objects["team"], hosts=[HOST.upper() + "."]
    )
    grant.full_clean()
    grant.save()
    return grant


def _namespace(objects: dict[str, Any], host: str = HOST) -> Namespace:
    namespace = Namespace.objects.get(pk=objects["namespace"])
    namespace.credential_id, namespace.host = objects["identity"], host
    return namespace


def test_a_team_can_not_make_an_identity_of_its_own(objects: dict[str, Any]) -> None:
    fields = {"name": "mine", "team": objects["team"], "kind": "managed_identity"}
    answer = people.client("owner").post("/admin/exporters/credential/add/", fields)
    assert answer.context["adminform"].form.errors["kind"]
    fields["team"] = ""
    answer = people.client("owner").post("/admin/exporters/credential/add/", fields)
    assert answer.context["adminform"].form.errors["team"]
    assert not Credential.objects.filter(name="mine").exists()


@pytest.mark.parametrize("kind", ["managed_identity", "workload_identity"])
def test_nor_can_anybody_give_one_to_a_team(objects: dict[str, Any], kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Credential(name="x", team_id=objects["team"], kind=kind).full_clean()
    assert "team" in refused.value.message_dict


def test_an_identity_is_seen_and_chosen_where_it_is_granted(
    objects: dict[str, Any], granted: IdentityGrant
) -> None:
    address = f"/admin/exporters/credential/{objects['identity']}/change/"
    assert people.client("viewer").get(address).status_code == 200
    assert people.client("owner").post(address, {"name": "x"}).status_code == 403
    assert people.client("other-owner").get(address).status_code == 404
    query = {"app_label": "exporters", "model_name": "namespace", "field_name": "credential"}
    offered = people.client("editor").get("/admin/autocomplete/", query).json()["results"]
    assert {each["text"] for each in offered} == {"hub-identity (all teams)", "payments-key (payments-team)"}
    offered = people.client("other-editor").get("/admin/autocomplete/", query).json()["results"]
    assert {each["text"] for each in offered} == {"orders-key (orders-team)"}


@pytest.mark.parametrize(
    "host",
    ["other.servicebus.windows.net", HOST + ":8443", f"x.{HOST}", "payments.servicebus.usgovcloudapi.net"],
)
def test_it_is_for_the_granted_host_alone(objects: dict[str, Any], granted: IdentityGrant, host: str) -> None:
    _namespace(objects).full_clean()
    with pytest.raises(ValidationError, match="not granted to team payments-team"):
        _namespace(objects, host).full_clean()
    # It is not used, however it reached the database.
    assert derivation.target(_namespace(objects)).credential is not None
    target = derivation.target(_namespace(objects, host))
    assert target.credential is None
    assert "not granted" in str(target.problem)


def test_a_grant_that_ended_stops_the_scrapes(objects: dict[str, Any], granted: IdentityGrant) -> None:
    _namespace(objects).save()
    assert loading.load().targets["payments-bus"].credential is not None
    granted.delete()
    assert "not granted" in loading.load().targets["payments-bus"].problem.message  # type: ignore[union-attr]


def test_a_credential_of_another_team_is_not_used_either(objects: dict[str, Any]) -> None:
    Namespace.objects.filter(pk=objects["namespace"]).update(credential=objects["other_credential"])
    assert "belongs to another team" in loading.load().targets["payments-bus"].problem.message  # type: ignore[union-attr]


def test_a_test_of_its_secret_asks_for_the_grant_too(objects: dict[str, Any]) -> None:
    """A tested secret takes the place of the one that the grant withholds from the namespace."""
    credential = Credential.objects.create(
        name="hub-app",
        kind="client_secret",
        tenant_id="contoso.example",
        client_id="11111111-2222-3333-4444-555555555555",
        secret="one",
        spare_secret="two",
    )
    Namespace.objects.filter(pk=objects["namespace"]).update(credential=credential)
    for what in ("test-active", "test"):
        address = f"/admin/exporters/credential/{credential.pk}/spare/"
        answer = people.client("admin").post(address, {"do": what}, follow=True)
        (said,) = map(str, answer.context["messages"])
        assert "was not tested for payments-bus" in said
        assert "not granted to team payments-team" in said


def test_a_grant_of_what_became_a_teams_shows_it_to_nobody(
    objects: dict[str, Any], granted: IdentityGrant
) -> None:
    """Two administrators act at once: one moves the credential into a team, the other grants it to another team."""
    Credential.objects.filter(pk=objects["identity"]).update(
        team_id=objects["other_team"], kind="client_secret"
    )
    address = f"/admin/exporters/credential/{objects['identity']}/change/"
    assert people.client("viewer").get(address).status_code == 404
    query = {"app_label": "exporters", "model_name": "namespace", "field_name": "credential"}
    offered = people.client("editor").get("/admin/autocomplete/", query).json()["results"]
    assert {each["text"] for each in offered} == {"payments-key (payments-team)"}


def test_hub_yaml_grants_and_takes_back(objects: dict[str, Any]) -> None:
    text = """
credentials:
  - name: hub-identity
    kind: managed_identity
    source: admin
    grants:
      - {team: payments-team, hosts: [%s]}
"""
    hub_yaml.apply(hub_yaml.plan(text % HOST))
    assert IdentityGrant.objects.get().hosts == [HOST]
    assert not hub_yaml.plan(text % HOST).changes
    (problem,) = hub_yaml.plan(text % "evil.example").messages()
    assert "is not a Service Bus endpoint" in problem
    hub_yaml.apply(hub_yaml.plan(text.partition("    grants")[0]))
    assert not IdentityGrant.objects.exists()


def test_names_of_credentials_tell_nothing_of_other_teams(objects: dict[str, Any]) -> None:
    orders_key = Credential.objects.get(pk=objects["other_credential"])
    Credential(
        name=orders_key.name, team=Team.objects.get(pk=objects["team"]), secret=orders_key.reveal_secret()
    ).full_clean()
