"""GET /sd: the response to Prometheus's HTTP service discovery."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from exporters.configuration.reloader import reloader
from exporters.models import Credential, Namespace, ScrapeToken, Team
from exporters.scraping import scrape_records
from simulator import SimulatedNamespace

AddTarget = Callable[..., Namespace]


def token_of(team: Team | None, name: str = "of-the-platform", **fields: Any) -> Client:
    secret = ScrapeToken.generate()
    fields = {"scope": "team" if team else "all_teams"} | fields
    stored = ScrapeToken(name=name, team=team, **fields)
    stored.set_token(secret)
    stored.save()
    return Client(headers={"Authorization": f"Bearer {secret}"})


def listed(client: Client, path: str = "/sd") -> dict[str, dict[str, str]]:
    """Return the labels by namespace."""
    response = client.get(path)
    assert response.status_code == 200, response.content
    return {group["labels"]["servicebus_namespace"]: group["labels"] for group in response.json()}


def test_each_enabled_namespace_is_a_group_with_its_labels(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client, settings: Any
) -> None:
    settings.HUB_EXTERNAL_URL = "https://hub.example.com"
    add_target(bus, labels={"environment": "prod"}, scrape_interval_seconds=60, scrape_timeout_seconds=2.5)
    add_target(bus, name="resting", enabled=False)
    response = scraper.get("/sd")
    assert response.json() == [
        {
            "targets": ["hub.example.com:443"],
            "labels": {
                "servicebus_namespace": "payments",
                "team": "payments",
                "environment": "prod",
                "__scheme__": "https",
                "__metrics_path__": "/metrics/payments",
                "__scrape_interval__": "60s",
                "__scrape_timeout__": "2500ms",
                "__meta_servicebus_namespace": "payments",
                "__meta_servicebus_team": "payments",
                "__meta_servicebus_host": bus.host.partition(":")[0],
                "__meta_servicebus_credential_kind": "connection_string",
                "__meta_servicebus_label_environment": "prod",
            },
        }
    ]


def test_the_content_type_is_exactly_application_json(hub: None, scraper: Client) -> None:
    response = scraper.get("/sd")
    assert (response.status_code, response["Content-Type"], response.content) == (
        200,
        "application/json",
        b"[]",
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://hub.example", ("http", "hub.example:80", "/metrics/payments")),
        ("http://127.0.0.1:9580", ("http", "127.0.0.1:9580", "/metrics/payments")),
        ("https://[2001:db8::1]", ("https", "[2001:db8::1]:443", "/metrics/payments")),
        ("https://tools.example/hub", ("https", "tools.example:443", "/hub/metrics/payments")),
    ],
)
def test_prometheus_is_sent_to_the_external_address(
    bus: SimulatedNamespace,
    add_target: AddTarget,
    scraper: Client,
    settings: Any,
    url: str,
    expected: tuple[str, str, str],
) -> None:
    settings.HUB_EXTERNAL_URL = url
    add_target(bus)
    (group,) = scraper.get("/sd").json()
    labels = group["labels"]
    assert (labels["__scheme__"], group["targets"][0], labels["__metrics_path__"]) == expected


def test_the_namespaces_label_is_a_setting(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client, settings: Any
) -> None:
    settings.HUB_NAMESPACE_LABEL = "bus"
    add_target(bus)
    (group,) = scraper.get("/sd").json()
    assert group["labels"]["bus"] == "payments"
    assert "servicebus_namespace" not in group["labels"]


def test_an_interval_brings_a_timeout_within_it_as_prometheus_drops_the_target_otherwise(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    add_target(bus, name="often", scrape_interval_seconds=5)
    add_target(bus, name="seldom", scrape_interval_seconds=300)
    add_target(bus, name="patient", scrape_timeout_seconds=12)
    add_target(bus, name="usual")
    found = {
        name: (labels.get("__scrape_interval__"), labels.get("__scrape_timeout__"))
        for name, labels in listed(scraper).items()
    }
    assert found == {
        "often": ("5s", "5s"),
        "seldom": ("300s", "10s"),
        "patient": (None, "12s"),
        "usual": (None, None),
    }


@pytest.fixture
def two_teams(bus: SimulatedNamespace, add_target: AddTarget) -> Team:
    add_target(bus)
    others = Team.objects.create(name="others")
    add_target(bus, name="theirs", team=others)
    Team.objects.create(name="empty")
    return others


def test_a_teams_token_lists_its_own_and_a_platforms_all(two_teams: Team, scraper: Client) -> None:
    assert set(listed(scraper)) == {"payments"}
    assert set(listed(scraper, "/sd?team=payments")) == {"payments"}
    platform = token_of(None)
    assert set(listed(platform)) == {"payments", "theirs"}
    assert set(listed(platform, "/sd?team=others")) == {"theirs"}
    assert listed(platform, "/sd?team=empty") == {}


def test_another_team_can_not_be_told_from_one_that_does_not_exist(two_teams: Team, scraper: Client) -> None:
    answers = {team: scraper.get(f"/sd?team={team}") for team in ("others", "empty", "unknown", "")}
    assert {response.status_code for response in answers.values()} == {404}
    assert (
        len({response.content.decode().replace(f"“{team}”", "T") for team, response in answers.items()}) == 1
    )
    assert token_of(None).get("/sd?team=unknown").status_code == 404, "a slip of the pen is not an empty team"


def test_a_token_for_some_namespaces_lists_those(two_teams: Team, scraper: Client) -> None:
    limited = token_of(two_teams, "limited", scope="listed")
    ScrapeToken.objects.get(name="limited").namespaces.add(Namespace.objects.get(name="theirs"))
    Namespace.objects.create(name="third", team=two_teams)
    assert set(listed(limited)) == {"theirs"}


@pytest.mark.parametrize("way", ["{}", "Bearer {}", "bearer {}", "basic"])
def test_the_token_is_taken_without_the_word_bearer_too(hub: None, token: str, way: str) -> None:
    shown = way.format(token)
    if way == "basic":
        shown = "Basic " + base64.b64encode(f"any:{token}".encode()).decode()
    assert Client().get("/sd", headers={"Authorization": shown}).status_code == 200


def test_elsewhere_the_word_bearer_is_needed(
    bus: SimulatedNamespace, add_target: AddTarget, token: str
) -> None:
    add_target(bus)
    assert Client().get("/metrics/payments", headers={"Authorization": token}).status_code == 401


@pytest.mark.parametrize("shown", [None, "", "sbh_wrong", "Bearer sbh_wrong", "Bearer", "Basic !!"])
def test_without_a_valid_token_the_list_is_a_401(hub: None, token: str, shown: str | None) -> None:
    response = Client().get("/sd", headers={} if shown is None else {"Authorization": shown})
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_an_expired_and_a_revoked_token_are_a_401(team: Team) -> None:
    expired = token_of(team, "expired", expires_at=timezone.now() - timedelta(seconds=1))
    assert expired.get("/sd").status_code == 401
    revoked = token_of(team, "revoked")
    assert revoked.get("/sd").status_code == 200
    ScrapeToken.objects.get(name="revoked").revoke("a test")
    assert revoked.get("/sd").status_code == 401


def test_only_reading_is_allowed(scraper: Client) -> None:
    assert scraper.post("/sd").status_code == 405
    assert scraper.head("/sd").status_code == 200


def test_while_the_configuration_can_not_be_read_the_list_is_a_503_and_never_an_old_one(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_target(bus)
    assert scraper.get("/sd").status_code == 200
    monkeypatch.setattr(reloader, "_problem", "the database has not responded")
    response = scraper.get("/sd")
    assert (response.status_code, response["Content-Type"]) == (503, "text/plain; charset=utf-8")
    assert scraper.get("/metrics/payments").status_code == 200


def test_the_host_is_listed_as_far_as_it_is_known(team: Team, scraper: Client) -> None:
    text = "Endpoint=sb://Own.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=YWJj"
    key = Credential.objects.create(name="key", team=team, secret=text)
    for name, host, credential in (
        ("its-own", "sb://Payments.servicebus.windows.net/", None),
        ("of-the-key", "", key),
        ("contradicting", "payments.servicebus.windows.net", key),
        ("unknown", "", None),
    ):
        Namespace.objects.create(name=name, team=team, host=host, credential=credential)
    hosts = {name: labels["__meta_servicebus_host"] for name, labels in listed(scraper).items()}
    assert hosts == {
        "its-own": "payments.servicebus.windows.net",
        "of-the-key": "own.servicebus.windows.net",
        "contradicting": "",
        "unknown": "",
    }


def test_a_thousand_namespaces_are_listed_whole(team: Team, scraper: Client) -> None:
    Namespace.objects.bulk_create(
        Namespace(name=f"ns-{number}", team=team, host=f"ns-{number}.servicebus.windows.net")
        for number in range(1000)
    )
    assert len(listed(scraper)) == 1000


def test_the_hub_remembers_when_and_from_where_a_token_was_shown(hub: None, scraper: Client) -> None:
    assert ScrapeToken.objects.get().last_used_at is None
    version = reloader.current().version
    scraper.get("/sd", REMOTE_ADDR="203.0.113.9")
    scrape_records.recorder.flush()
    token = ScrapeToken.objects.get()
    assert token.last_used_at is not None
    assert (timezone.now() - token.last_used_at) < timedelta(minutes=1)
    assert token.last_used_address == "203.0.113.9"
    assert reloader.current().version == version, "a use is no change of the configuration"
    assert token.history.count() == 1


def test_a_token_is_written_at_most_once_a_minute(
    hub: None, scraper: Client, django_assert_num_queries: Any
) -> None:
    for _ in range(3):
        scraper.get("/sd")
    with django_assert_num_queries(1):
        scrape_records.recorder.flush()
    scraper.get("/sd")
    with django_assert_num_queries(0):
        scrape_records.recorder.flush()


def test_a_use_that_another_replica_saw_later_stays(hub: None, scraper: Client) -> None:
    later = timezone.now() + timedelta(seconds=30)
    ScrapeToken.objects.update(last_used_at=later)
    scraper.get("/sd", REMOTE_ADDR="")
    scrape_records.recorder.flush()
    assert ScrapeToken.objects.get().last_used_at == later


def test_a_use_that_was_dated_before_the_clock_was_set_back_gives_way(hub: None, scraper: Client) -> None:
    ScrapeToken.objects.update(last_used_at=timezone.now() + timedelta(hours=1))
    scraper.get("/sd")
    scrape_records.recorder.flush()
    last_used_at = ScrapeToken.objects.get().last_used_at
    assert last_used_at is not None
    assert timedelta(0) < timezone.now() - last_used_at < timedelta(minutes=1)
