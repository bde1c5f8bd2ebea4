"""The connection test before a namespace is saved: each step reports its result and how to fix a failure."""

from typing import Any

import pytest

from exporters.concurrency_limit import ConcurrencyLimit
from exporters.configuration import derivation
from exporters.connection_test import run
from exporters.connection_test.run import ConnectionTest, StepState
from exporters.models import Credential, LabelRule, Namespace, NamespaceStatus, Team
from exporters.scraping import reading, scrape, scrape_records
from simulator import SimulatedNamespace, Simulator


def _unsaved(team: Team, secret: str, **fields: Any) -> Namespace:
    credential = Credential(name="tested", team=team, secret=secret)
    return Namespace(name=fields.pop("name", "tested"), team=team, credential=credential, **fields)


def _test(namespace: Namespace) -> ConnectionTest:
    return run.run(derivation.target(namespace))


def _states(tested: ConnectionTest) -> dict[str, str]:
    return {step.name: str(step.state) for step in tested.steps}


def _step(tested: ConnectionTest, name: str) -> run.Step:
    return next(step for step in tested.steps if step.name == name)


def test_what_is_not_saved_yet_is_tried_out_step_by_step(team: Team, bus: SimulatedNamespace) -> None:
    tested = _test(_unsaved(team, bus.connection_string))
    assert [step.name for step in tested.steps] == list(run.STEPS)
    assert set(_states(tested).values()) == {"good"}
    assert tested.ok
    assert "RootManageSharedAccessKey" in _step(tested, "Connection string").detail
    assert _step(tested, "TLS").detail.startswith("TLSv1.3 with 127.0.0.1, certificate valid for")
    assert _step(tested, "SKU").detail == "Standard"
    assert _step(tested, "Entities").detail == "2 queues, 1 topic, 2 subscriptions in 4 requests"
    assert _step(tested, "Timeout").detail.endswith("of 9.5 s.")
    assert "4 requests at 30 per second: within the budget." in _step(tested, "Budget").detail
    assert all(step.seconds is not None for step in tested.steps[:3])


def test_the_exposition_is_what_prometheus_gets_with_label_rules_applied(
    team: Team, bus: SimulatedNamespace
) -> None:
    LabelRule.objects.create(
        team=team, source_labels=["name"], regex="([a-z]+)/.*", target_label="domain", position=1
    )
    namespace = _unsaved(team, bus.connection_string)
    tested = _test(namespace)
    assert 'domain="team",name="team/invoices"' in tested.exposition
    target = derivation.target(namespace)
    answer = scrape.exposition(target, scrape.scrape(target, 9), "")
    assert tested.series == scrape_records.count_series(answer.body)


def test_nothing_is_stored_and_nothing_is_remembered(team: Team, bus: SimulatedNamespace) -> None:
    _test(_unsaved(team, bus.connection_string))
    scrape_records.recorder.flush()
    assert not Namespace.objects.exists()
    assert not Credential.objects.exists()
    assert not NamespaceStatus.objects.exists()
    assert "tested" not in reading._known_pages
    assert "" not in reading._known_pages


def test_a_connection_made_for_a_connection_test_is_closed_when_its_step_ends(
    team: Team, bus: SimulatedNamespace
) -> None:
    at = reading.endpoint(derivation.target(_unsaved(team, bus.connection_string)))
    for _ in range(30):
        reading.handshake(at, reading.addresses(at, 5), 5)
        # A loop that ends with an open connection warns, and a warning fails the test.
        reading.close()


def test_a_wrong_key_names_the_policy_and_where_to_look(team: Team, bus: SimulatedNamespace) -> None:
    tested = _test(_unsaved(team, bus.connection_string.replace(bus.key, "d3Jvbmc=")))
    assert not tested.ok
    step = _step(tested, "Authorization")
    assert step.state is StepState.BAD
    assert "Shared access policies > the policy RootManageSharedAccessKey > tick Manage" in step.fix
    assert _states(tested)["TLS"] == "good"
    assert _states(tested)["Entities"] == "skipped"
    assert "servicebus_up 0.0" in tested.exposition
    assert "servicebus_scrape_error" in tested.exposition


def test_a_key_that_may_only_listen_lacks_the_manage_right(team: Team, bus: SimulatedNamespace) -> None:
    secret = bus.add_key("listen-only", rights=["Listen"])
    step = _step(_test(_unsaved(team, secret)), "Authorization")
    assert (step.state, "the policy listen-only > tick Manage" in step.fix) == (StepState.BAD, True)


def test_the_key_of_an_entity_reads_that_entity_alone(team: Team, bus: SimulatedNamespace) -> None:
    secret = bus.add_key("orders-manage", entity_path="orders")
    tested = _test(_unsaved(team, secret))
    assert tested.ok
    assert _step(tested, "Connection string").detail.endswith("key orders-manage, for orders only")
    assert _states(tested)["SKU"] == "skipped"
    assert _step(tested, "Entities").detail.startswith("1 queue, 0 topics")


def test_a_name_that_does_not_resolve_stops_at_that_step(team: Team, settings: Any) -> None:
    settings.HUB_ENDPOINT_SUFFIXES = ["invalid"]
    secret = "Endpoint=sb://no-such-name.invalid/;SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0"
    tested = _test(_unsaved(team, secret))
    assert _states(tested)["Connection string"] == "good"
    assert _states(tested)["Name resolution"] == "bad"
    assert _states(tested)["TLS"] == "skipped"
    assert "private DNS zone" in _step(tested, "Name resolution").fix
    assert tested.exposition == ""


def test_a_certificate_that_is_not_trusted_stops_at_tls(
    team: Team, bus: SimulatedNamespace, settings: Any
) -> None:
    settings.HUB_CA_FILE = None
    tested = _test(_unsaved(team, bus.connection_string))
    assert _states(tested)["Name resolution"] == "good"
    assert _states(tested)["TLS"] == "bad"
    assert "certificate" in _step(tested, "TLS").detail
    assert "HUB_CA_FILE" in _step(tested, "TLS").fix


def test_without_a_credential_one_is_asked_for(team: Team) -> None:
    tested = _test(Namespace(name="bare", team=team, host="bare.servicebus.windows.net"))
    assert _states(tested)["Connection string"] == "bad"
    assert _step(tested, "Connection string").fix == "Choose a credential or paste a connection string."


def test_a_read_that_is_cut_says_what_was_found_and_that_it_does_not_fit(
    team: Team, simulator: Simulator
) -> None:
    slow = simulator.add_namespace("slow", latency=0.4)
    for number in range(40):
        slow.add_topic(f"t{number}").add_subscription("s")
    tested = _test(_unsaved(team, slow.connection_string, timeout_seconds=1.5, concurrency=1))
    assert _states(tested)["Authorization"] == "good"
    assert _states(tested)["Entities"] == "bad"
    assert _states(tested)["Timeout"] == "bad"
    assert "scrape_timeout" in _step(tested, "Timeout").fix


def test_the_budget_says_how_long_a_full_read_takes_at_least(team: Team, simulator: Simulator) -> None:
    many = simulator.add_namespace("many")
    for number in range(22):
        many.add_topic(f"t{number}").add_subscription("s")
    tested = _test(_unsaved(team, many.connection_string, requests_per_second=100, burst=5))
    assert (
        "25 requests at 100 per second: a full read takes at least 0.20 s." in _step(tested, "Budget").detail
    )


def test_no_step_shows_a_secret(team: Team, bus: SimulatedNamespace) -> None:
    for secret in (bus.connection_string, bus.connection_string.replace(bus.key, "d3Jvbmc=")):
        key = secret.partition("SharedAccessKey=")[2]
        assert key
        assert key not in repr(_test(_unsaved(team, secret)))


def test_a_hub_that_is_full_refuses_a_connection_test_too(
    team: Team, bus: SimulatedNamespace, monkeypatch: Any
) -> None:
    monkeypatch.setattr(scrape, "_places", ConcurrencyLimit(1, 1))
    assert scrape._places.take("another") is None
    tested = _test(_unsaved(team, bus.connection_string))
    assert _step(tested, "Timeout").state is StepState.BAD
    assert "HUB_MAX_SCRAPES" in _step(tested, "Timeout").detail
    assert _states(tested)["Authorization"] == "skipped"


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        ("hang", "Timeout"),
        ("throttle", "Budget"),
        ("server_error", "Entities"),
        ("unauthorized", "Authorization"),
    ],
)
def test_a_read_that_fails_does_so_at_the_step_of_its_reason(
    team: Team, bus: SimulatedNamespace, fault: str, step: str
) -> None:
    bus.faults.set(fault)
    states = _states(_test(_unsaved(team, bus.connection_string, timeout_seconds=1.0)))
    after_tls = ("Authorization", "SKU", "Entities", "Timeout", "Budget")
    assert {name: states[name] for name in after_tls if states[name] != "skipped"} == {step: "bad"}


@pytest.mark.parametrize(("timeout", "allowed"), [(None, 9.5), (5.0, 4.5), (60.0, 9.5), (0.5, 0.25)])
def test_the_time_allowed_is_what_prometheus_would_give(
    team: Team, timeout: float | None, allowed: float
) -> None:
    namespace = Namespace(name="n", team=team, timeout_seconds=9.5, scrape_timeout_seconds=timeout)
    target = derivation.target(namespace)
    assert target.time_allowed(target.scrape_timeout_seconds) == allowed
