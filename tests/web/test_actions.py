"""Actions on namespaces in the web UI, on one or on many at once."""

from typing import Any

import pytest
from django.test import Client

from exporters.configuration.reloader import reloader
from exporters.models import Credential, Membership, Namespace, ScrapeRecord, Source, Team
from exporters.pages import actions
from exporters.scraping import scrape_records
from simulator import SimulatedNamespace, Simulator

from .conftest import AddTarget


def _post(client: Client, action: str, namespaces: list[Namespace]) -> str:
    answer = client.post(
        "/admin/exporters/namespace/",
        {"action": action, "_selected_action": [namespace.pk for namespace in namespaces]},
        follow=True,
    )
    return " ".join(str(message) for message in answer.context["messages"])


@pytest.fixture
def browser(hub: None, django_user_model: Any) -> Client:
    client = Client()
    client.force_login(django_user_model.objects.create_superuser("root", "", "pass-pass-pass"))
    return client


@pytest.fixture
def two(simulator: Simulator, bus: SimulatedNamespace, add_target: AddTarget) -> list[Namespace]:
    """A namespace that can be read, and one with a wrong key."""
    stage = simulator.add_namespace("payments-stage")
    wrong = stage.connection_string.replace(stage.key, "d3Jvbmc=")
    return [add_target(bus), add_target(stage, connection_string=wrong)]


def test_scraping_two_at_once_says_which_failed_and_why(two: list[Namespace]) -> None:
    outcomes = actions.scrape_now(two)
    assert actions.report(outcomes) == "1 ok, 1 failed: payments-stage unauthorized"


def test_what_is_scraped_by_hand_is_remembered(two: list[Namespace]) -> None:
    actions.scrape_now(two)
    scrape_records.recorder.flush()
    seen = {each.name: each.status.outcome for each in Namespace.objects.select_related("status")}
    assert seen == {"payments": "success", "payments-stage": "failure"}


def test_a_paused_namespace_is_not_scraped(two: list[Namespace], bus: SimulatedNamespace) -> None:
    actions.pause(two[:1])
    assert actions.report(actions.scrape_now(Namespace.objects.filter(pk=two[0].pk))) == (
        "0 ok, 1 failed: payments paused"
    )
    assert len(bus.requests) == 0


def test_the_list_pauses_and_resumes_many(browser: Client, two: list[Namespace]) -> None:
    assert _post(browser, "pause", two) == "Paused: 2 ok."
    assert not Namespace.objects.filter(enabled=True).exists()
    assert _post(browser, "resume", two) == "Resumed: 2 ok."
    assert not Namespace.objects.filter(enabled=False).exists()


def test_the_list_scrapes_many_and_reports_each_failure(browser: Client, two: list[Namespace]) -> None:
    assert _post(browser, "scrape_now", two) == "Scraped: 1 ok, 1 failed: payments-stage unauthorized."


def test_a_namespace_of_the_file_is_paused_in_the_file(browser: Client, two: list[Namespace]) -> None:
    Namespace.objects.filter(pk=two[0].pk).update(source=Source.FILE)
    said = _post(browser, "pause", two)
    assert said == "Paused: 1 ok, 1 failed: payments comes from hub.yaml; pause or resume it there."


def test_the_list_tests_many_and_remembers_nothing(browser: Client, two: list[Namespace]) -> None:
    actions.pause(two)
    assert _post(browser, "test", two) == "Tested: 1 ok, 1 failed: payments-stage unauthorized."
    scrape_records.recorder.flush()
    assert not ScrapeRecord.objects.exists()


def test_clearing_the_cache_of_many_makes_the_next_scrape_read_anew(
    browser: Client, two: list[Namespace], bus: SimulatedNamespace, scraper: Client
) -> None:
    Namespace.objects.update(cache_seconds=600)
    reloader.forget()
    scraper.get("/metrics/payments")
    asked = len(bus.requests)
    scraper.get("/metrics/payments")
    assert len(bus.requests) == asked
    assert _post(browser, "clear_cache", two) == "Cleared: 2 ok."
    scraper.get("/metrics/payments")
    assert len(bus.requests) == 2 * asked


def test_a_test_that_gets_nowhere_says_what_is_missing(two: list[Namespace]) -> None:
    Credential.objects.filter(pk=two[0].credential_id).update(kind="managed_identity", secret="")
    said = actions.report(actions.test(Namespace.objects.filter(pk=two[0].pk).select_related("credential")))
    assert said.startswith("0 ok, 1 failed: payments (Enter the host, for example ")


@pytest.mark.parametrize("action", ["test", "scrape_now", "pause", "resume", "clear_cache"])
def test_a_viewer_does_nothing_to_a_namespace(
    hub: None, two: list[Namespace], bus: SimulatedNamespace, django_user_model: Any, action: str
) -> None:
    viewer = django_user_model.objects.create_user("viewer", password="pass-pass-pass")
    Membership.objects.create(user=viewer, team=two[0].team, role="viewer")
    client = Client()
    client.force_login(viewer)
    said = _post(client, action, two[:1])
    assert said.endswith(": 0 ok, 1 failed: payments requires the editor role in its team.")
    assert len(bus.requests) == 0
    assert Namespace.objects.get(pk=two[0].pk).enabled


@pytest.mark.parametrize("action", ["test", "scrape_now", "pause", "resume", "clear_cache"])
def test_another_teams_namespace_does_not_exist(
    hub: None, two: list[Namespace], bus: SimulatedNamespace, django_user_model: Any, action: str
) -> None:
    stranger = django_user_model.objects.create_user("stranger", password="pass-pass-pass")
    Membership.objects.create(user=stranger, team=Team.objects.create(name="orders"), role="owner")
    client = Client()
    client.force_login(stranger)
    assert "payments" not in _post(client, action, two)
    assert len(bus.requests) == 0
    assert Namespace.objects.get(pk=two[0].pk).enabled


def test_pausing_is_in_the_history_with_who_did_it(browser: Client, two: list[Namespace]) -> None:
    _post(browser, "pause", two[:1])
    newest = two[0].history.first()
    assert (newest.history_user.username, newest.enabled) == ("root", False)


def test_a_namespace_that_nobody_began_with_in_time_is_named(two: list[Namespace], monkeypatch: Any) -> None:
    monkeypatch.setattr(actions, "_SECONDS", 0.0)
    assert actions.report(actions.scrape_now(two[:1])) == "0 ok, 1 failed: payments not started in time"


def test_actions_on_none_do_nothing() -> None:
    assert actions.report(actions.scrape_now([])) == "0 ok"
