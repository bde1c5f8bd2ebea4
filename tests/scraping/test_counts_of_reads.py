"""Each management request is counted once, also if its read is cancelled or its response comes after the deadline."""

import time
from collections.abc import Callable

import pytest

from exporters.configuration import derivation
from exporters.models import Namespace
from exporters.scraping import reading, scrape
from exporters.telemetry import metrics
from simulator import SimulatedNamespace, Simulator
from tests.support.servers import wait_for
from tests.web.conftest import AddTarget, add_target, hub, scraper, team, token

__all__ = ["add_target", "hub", "scraper", "team", "token"]


def _counted() -> dict[str, float]:
    return {
        sample.labels["code"]: sample.value
        for family in metrics.UPSTREAM_REQUESTS.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }


@pytest.fixture
def more() -> Callable[[], dict[str, float]]:
    """Return the requests counted since the start of the test, by code."""
    before = _counted()
    return lambda: {
        code: number - before.get(code, 0)
        for code, number in _counted().items()
        if number != before.get(code, 0)
    }


@pytest.fixture
def slow(simulator: Simulator, add_target: AddTarget) -> tuple[SimulatedNamespace, Namespace]:
    """A namespace that has been read once, so that its connections are open, and now takes a second for a response."""
    bus = simulator.add_namespace("slow")
    namespace = add_target(bus)
    assert scrape.scrape(derivation.target(namespace), 9).snapshot.collectors["queues"] is None
    bus.latency = 1.0
    return bus, namespace


def test_a_response_after_the_deadline_is_counted_with_the_next_scrape(
    slow: tuple[SimulatedNamespace, Namespace], more: Callable[[], dict[str, float]]
) -> None:
    bus, namespace = slow
    target = derivation.target(namespace)
    sent = len(bus.requests)
    snapshot = scrape.scrape(target, 0.3).snapshot
    assert snapshot.requests > 0
    assert more() == {}, "no request has ended yet"
    wait_for(lambda: len(reading._events) == snapshot.requests, "the responses")
    bus.latency = 0.0
    scrape.scrape(target, 9)
    assert more() == {"200": len(bus.requests) - sent}


def test_the_requests_of_a_cancelled_read_are_counted_once(
    slow: tuple[SimulatedNamespace, Namespace],
    more: Callable[[], dict[str, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bus, namespace = slow
    target = derivation.target(namespace)
    sent = len(bus.requests)
    # As if the loop were late: the read is given up before its own deadline.
    monkeypatch.setattr(reading, "_GRACE_SECONDS", -2.5)
    snapshot = scrape.scrape(target, 3.0).snapshot
    monkeypatch.undo()
    assert "did not finish in time" in str(snapshot.collectors)

    def ended() -> float:
        # The scrape itself counts the requests that are cancelled before it ends; the others wait for the next one.
        return len(reading._events) + sum(more().values())

    wait_for(lambda: ended() > 0, "the end of its requests")
    time.sleep(0.1)
    cancelled = ended()
    bus.latency = 0.0
    scrape.scrape(target, 9)
    assert more() == {"none": cancelled, "200": len(bus.requests) - sent - cancelled}


def test_what_is_left_is_counted_as_the_process_ends(
    slow: tuple[SimulatedNamespace, Namespace], more: Callable[[], dict[str, float]]
) -> None:
    _, namespace = slow
    snapshot = scrape.scrape(derivation.target(namespace), 0.3).snapshot
    scrape.close()
    assert more() == {"none": snapshot.requests}
