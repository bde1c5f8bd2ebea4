"""GET /metrics/<namespace>, from the stored configuration to the exposition, over a real socket to the simulator."""

import base64
import gzip
from collections.abc import Callable

import pytest
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporters.models import Credential, Namespace, ScrapeToken, Team
from simulator import SimulatedNamespace, Simulator

AddTarget = Callable[..., Namespace]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def scraped(client: Client, name: str = "payments", **headers: str) -> Samples:
    response = client.get(f"/metrics/{name}", headers=headers)
    assert response.status_code == 200, response.content
    return samples(response.content.decode())


def value(found: Samples, metric: str, /, **labels: str) -> float | None:
    return found.get((metric, frozenset(labels.items())))


def test_a_scrape_answers_with_this_moments_numbers(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    add_target(bus)
    found = scraped(scraper)
    assert value(found, "servicebus_up") == 1
    assert value(found, "servicebus_queue_active_messages", name="orders") == 3
    assert value(found, "servicebus_queue_active_messages", name="team/invoices") == 7
    assert (
        value(found, "servicebus_subscription_dead_letter_messages", name="audit", topic_name="events") == 4
    )
    bus.queues["orders"].active = 11
    assert value(scraped(scraper), "servicebus_queue_active_messages", name="orders") == 11


def test_a_deleted_queues_series_are_gone_with_the_next_scrape(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    add_target(bus)
    assert value(scraped(scraper), "servicebus_queue_active_messages", name="orders") == 3
    bus.delete_queue("orders")
    assert not [key for key in scraped(scraper) if ("name", "orders") in key[1]]


def test_one_namespace_with_two_credentials_is_read_with_each(
    scraper: Client, bus: SimulatedNamespace, add_target: AddTarget
) -> None:
    wrong = bus.connection_string.replace(bus.key, base64.b64encode(b"x" * 32).decode())
    add_target(bus, cache_seconds=60)
    add_target(bus, connection_string=wrong, name="wrong", cache_seconds=60)
    assert value(scraped(scraper), "servicebus_up") == 1
    assert value(scraped(scraper, "wrong"), "servicebus_up") == 0
    assert value(scraped(scraper), "servicebus_up") == 1


def test_a_wrong_key_answers_200_with_up_0_and_the_reason(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    wrong = bus.connection_string.replace(bus.key, base64.b64encode(b"x" * 32).decode())
    add_target(bus, connection_string=wrong)
    found = scraped(scraper)
    assert value(found, "servicebus_up") == 0
    assert value(found, "servicebus_scrape_error", reason="unauthorized") == 1
    assert not [key for key in found if key[0].startswith("servicebus_queue")]


@pytest.mark.parametrize("way", ["bearer", "basic"])
def test_the_token_is_taken_as_bearer_and_as_basic_password(
    bus: SimulatedNamespace, add_target: AddTarget, token: str, way: str
) -> None:
    add_target(bus)
    shown = (
        f"Bearer {token}"
        if way == "bearer"
        else "Basic " + base64.b64encode(f"any:{token}".encode()).decode()
    )
    assert Client().get("/metrics/payments", headers={"Authorization": shown}).status_code == 200


@pytest.mark.parametrize(
    "shown", [None, "Bearer sbh_wrong", "Basic !!", "Bearer", "Digest x", "Basic " + "eDp5"]
)
def test_without_a_valid_token_the_answer_is_401(
    bus: SimulatedNamespace, add_target: AddTarget, token: str, shown: str | None
) -> None:
    add_target(bus)
    response = Client().get("/metrics/payments", headers={"Authorization": shown} if shown else {})
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_unknown_paused_and_other_teams_namespaces_answer_the_same_404(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    add_target(bus, name="resting", enabled=False)
    add_target(bus, name="theirs", team=Team.objects.create(name="others"))
    answers = {name: scraper.get(f"/metrics/{name}") for name in ("resting", "theirs", "unknown")}
    assert {response.status_code for response in answers.values()} == {404}
    assert len({response.content.decode().replace(name, "NAME") for name, response in answers.items()}) == 1


def test_a_token_can_be_limited_to_namespaces(
    bus: SimulatedNamespace, add_target: AddTarget, token: str, scraper: Client
) -> None:
    add_target(bus, name="one")
    ScrapeToken.objects.update(scope="listed")
    ScrapeToken.objects.get().namespaces.add(add_target(bus, name="two"))
    assert scraper.get("/metrics/one").status_code == 404
    assert scraper.get("/metrics/two").status_code == 200


@pytest.mark.parametrize("header", ["soon", "-1", "0", "nan", "inf", ""])
def test_an_unparsable_timeout_header_is_a_400_that_says_what_it_takes(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client, header: str
) -> None:
    add_target(bus)
    response = scraper.get("/metrics/payments", headers={"X-Prometheus-Scrape-Timeout-Seconds": header})
    assert response.status_code == 400
    assert b"number of seconds" in response.content


def test_the_deadline_is_prometheuss_timeout_less_half_a_second(
    simulator: Simulator, add_target: AddTarget, scraper: Client
) -> None:
    slow = simulator.add_namespace("slow", latency=60)
    add_target(slow)
    found = scraped(scraper, "slow", **{"X-Prometheus-Scrape-Timeout-Seconds": "1.2"})
    assert value(found, "servicebus_up") == 0
    assert value(found, "servicebus_scrape_error", reason="timeout") == 1
    duration = value(found, "servicebus_scrape_duration_seconds")
    assert duration is not None
    assert 0.5 < duration < 1.2


def test_gzip_is_sent_when_asked_for(bus: SimulatedNamespace, add_target: AddTarget, scraper: Client) -> None:
    add_target(bus)
    response = scraper.get("/metrics/payments", headers={"Accept-Encoding": "gzip"})
    assert response["Content-Encoding"] == "gzip"
    assert response["Content-Length"] == str(len(response.content))
    assert b"servicebus_up 1.0" in gzip.decompress(response.content)


def test_openmetrics_is_sent_when_asked_for(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    add_target(bus)
    response = scraper.get(
        "/metrics/payments", headers={"Accept": "application/openmetrics-text;version=1.0.0"}
    )
    assert response["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name for family in parse_openmetrics(response.content.decode())}
    assert "servicebus_up" in families


def test_a_namespace_without_a_usable_credential_says_so(hub: None, team: Team, scraper: Client) -> None:
    Namespace.objects.create(name="bare", team=team, host="bare.servicebus.windows.net")
    found = scraped(scraper, "bare")
    assert value(found, "servicebus_up") == 0
    assert value(found, "servicebus_scrape_error", reason="credential") == 1


def test_a_secret_under_another_encryption_key_is_a_credential_failure_and_never_ciphertext(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client, settings: object
) -> None:
    add_target(bus)
    ciphertext = Credential.objects.get().secret.ciphertext
    settings.HUB_ENCRYPTION_KEYS = ["A" * 43 + "="]  # type: ignore[attr-defined]
    Team.objects.get().save()  # a change makes the hub reload
    response = scraper.get("/metrics/payments")
    assert value(samples(response.content.decode()), "servicebus_scrape_error", reason="credential") == 1
    assert ciphertext not in response.content.decode()


def test_two_namespaces_never_mix(simulator: Simulator, add_target: AddTarget, scraper: Client) -> None:
    for name in ("left", "right"):
        namespace = simulator.add_namespace(name, latency=0.01)
        for number in range(30):
            namespace.add_queue(f"{name}-{number}", active=number)
        add_target(namespace)
    for name in ("left", "right"):
        names = {
            dict(key[1])["name"]
            for key in scraped(scraper, name)
            if key[0] == "servicebus_queue_active_messages"
        }
        assert names == {f"{name}-{number}" for number in range(30)}


def test_the_hubs_own_metrics_need_a_token_and_count_scrapes(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    add_target(bus)
    assert Client().get("/metrics").status_code == 401
    before = (
        value(samples(scraper.get("/metrics").content.decode()), "hub_scrapes_total", outcome="success") or 0
    )
    scraped(scraper)
    after = samples(scraper.get("/metrics").content.decode())
    assert value(after, "hub_scrapes_total", outcome="success") == before + 1
    assert value(after, "hub_namespaces", state="enabled") == 1
