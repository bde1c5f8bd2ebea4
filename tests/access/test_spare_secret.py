"""Two keys: the spare one is tested, takes over while the active one is refused, and replaces it."""

from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from exporters.configuration.reloader import reloader
from exporters.models import Credential, Namespace, SecretSlot
from exporters.scraping import last_uses
from simulator import SimulatedNamespace, Simulator
from tests.web.conftest import AddTarget, add_target, hub, scraper, team, token

__all__ = ["add_target", "hub", "scraper", "team", "token"]


@pytest.fixture
def both(bus: SimulatedNamespace, add_target: AddTarget) -> tuple[str, str]:
    """A namespace whose active key is wrong and whose spare key is right; the value has both connection strings."""
    wrong = bus.connection_string.replace(bus.key, "d3Jvbmc=" * 4)
    namespace = add_target(bus, connection_string=wrong)
    credential = namespace.credential
    assert credential is not None
    credential.spare_secret = bus.connection_string
    credential.save()
    return wrong, bus.connection_string


@pytest.fixture
def owner(django_user_model: Any) -> Client:
    client = Client()
    client.force_login(
        django_user_model.objects.create_superuser("root", "", "pass-pass-pass"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return client


def _up(scraper: Client, namespace: str = "payments") -> float:
    text = scraper.get(f"/metrics/{namespace}").content.decode()
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "servicebus_up"
    )


def _spare(client: Client, what: str) -> str:
    credential = Credential.objects.get()
    answer = client.post(f"/admin/exporters/credential/{credential.pk}/spare/", {"do": what}, follow=True)
    return " ".join(str(message) for message in answer.context["messages"])


def test_the_spare_key_steps_in_while_the_active_one_is_refused(
    both: tuple[str, str], bus: SimulatedNamespace, scraper: Client
) -> None:
    assert [_up(scraper), _up(scraper)] == [1, 1]
    refused = [request for request in bus.requests if request.status == 401]
    asked = len(bus.requests)
    # The first scrape finds out; afterwards the spare key is tried first.
    assert 0 < len(refused) < asked / 2


def test_the_refusals_of_one_credential_are_not_forgotten_for_those_of_another(
    both: tuple[str, str],
    simulator: Simulator,
    bus: SimulatedNamespace,
    add_target: AddTarget,
    scraper: Client,
) -> None:
    other = simulator.add_namespace("orders")
    wrong = other.connection_string.replace(other.key, "d3Jvbmc=" * 4)
    credential = add_target(other, connection_string=wrong).credential
    assert credential is not None
    credential.spare_secret = other.connection_string
    credential.save()
    assert [_up(scraper, name) for name in ("payments", "orders")] == [1, 1]
    asked = len(bus.requests)
    assert _up(scraper) == 1
    assert 401 not in [request.status for request in list(bus.requests)[asked:]]


def test_either_secret_is_tested_alone(both: tuple[str, str], owner: Client) -> None:
    assert "The active secret doesn't work for payments" in _spare(owner, "test-active")
    assert "The spare secret works for payments" in _spare(owner, "test")


def test_the_page_says_what_each_button_does(both: tuple[str, str], owner: Client) -> None:
    credential = Credential.objects.get()
    page = owner.get(f"/admin/exporters/credential/{credential.pk}/change/").content.decode()
    for what in ("test-active", "test", "promote", "retire"):
        assert f'form="secrets" name="do" value="{what}"' in page
    credential.retire_spare()
    credential.save()
    page = owner.get(f"/admin/exporters/credential/{credential.pk}/change/").content.decode()
    assert 'value="test-active"' in page
    assert 'value="promote"' not in page
    assert "other key below" in page


def test_its_use_is_counted_and_shown(both: tuple[str, str], scraper: Client, owner: Client) -> None:
    assert _up(scraper) == 1
    last_uses.spares.write()
    credential = Credential.objects.get()
    assert credential.spare_used_at is not None
    page = owner.get(f"/admin/exporters/credential/{credential.pk}/change/").content.decode()
    assert "because the active one was refused" in page
    metrics = scraper.get("/metrics").content.decode()
    assert f'hub_credential_spare_used_total{{credential="{credential.name}",team="payments"}}' in metrics


def test_with_both_refused_the_scrape_fails_as_ever(
    both: tuple[str, str], bus: SimulatedNamespace, scraper: Client
) -> None:
    bus.add_key(bus.key_name, {"Manage", "Listen", "Send"}, key="bmVpdGhlcg==" * 3)
    assert _up(scraper) == 0


def test_testing_says_whether_the_spare_key_opens_the_namespace(
    both: tuple[str, str], bus: SimulatedNamespace, owner: Client
) -> None:
    assert _spare(owner, "test") == "The spare secret works for payments."
    bus.add_key(bus.key_name, {"Manage", "Listen", "Send"}, key="bmVpdGhlcg==" * 3)
    assert "doesn't work for payments" in _spare(owner, "test")


def test_promoting_swaps_and_retiring_forgets(both: tuple[str, str], owner: Client) -> None:
    wrong, right = both
    before = Credential.objects.get()
    assert "is now active" in _spare(owner, "promote")
    credential = Credential.objects.get()
    assert (credential.reveal_secret(), credential.reveal_secret(SecretSlot.SPARE)) == (right, wrong)
    assert credential.secret_fingerprint == before.spare_secret_fingerprint
    assert credential.secret_set_at == before.spare_secret_set_at
    _spare(owner, "retire")
    credential = Credential.objects.get()
    assert not credential.has_secret("spare_secret")
    assert (credential.spare_secret, credential.spare_secret_fingerprint) == ("", "")
    assert _spare(owner, "promote") == "There is no spare secret."
    reasons = list(Credential.history.values_list("history_change_reason", flat=True)[:2])
    assert reasons == ["spare secret retired", "spare secret promoted"]


def test_a_ciphertext_moved_from_slot_to_slot_does_not_decrypt(both: tuple[str, str]) -> None:
    credential = Credential.objects.get()
    Credential.objects.update(secret=credential.spare_secret)
    reloader.forget()
    problem = reloader.current().targets["payments"].problem
    assert problem is not None
    assert "can't be decrypted" in problem.message


@pytest.mark.parametrize(
    ("spare", "said"),
    [
        ("the same", "This is the active secret"),
        (
            "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=YWJj",
            "another key of the same",
        ),
        ("nonsense", "Copy all of it"),
    ],
)
def test_a_spare_key_is_another_key_of_the_same_namespace(
    bus: SimulatedNamespace, add_target: AddTarget, owner: Client, spare: str, said: str
) -> None:
    namespace: Namespace = add_target(bus)
    credential = namespace.credential
    assert credential is not None
    fields = {
        "name": credential.name,
        "team": credential.team_id,
        "kind": credential.kind,
        "spare_secret": bus.connection_string if spare == "the same" else spare,
    }
    answer = owner.post(f"/admin/exporters/credential/{credential.pk}/change/", fields)
    assert said in str(answer.context["adminform"].form.errors["spare_secret"])
