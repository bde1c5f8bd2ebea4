"""A namespace that is too large for its budget, through the whole hub."""

import time

import pytest
from django.test import Client

from exporters.configuration.reloader import reloader
from exporters.scraping.scrape import last_result
from simulator import SimulatedNamespace, Simulator
from tests.support.servers import wait_for

from .conftest import AddTarget

RATE, BURST, TOPICS = 20, 5, 100


@pytest.fixture
def large(simulator: Simulator) -> SimulatedNamespace:
    bus = simulator.add_namespace("large")
    bus.add_queue("orders")
    for number in range(TOPICS):
        bus.add_topic(f"topic-{number:03}").add_subscription("billing", active=number)
    return bus


def test_after_its_answer_the_hub_reads_on_within_the_budget_for_the_next_scrape(
    large: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    add_target(large, requests_per_second=RATE, burst=BURST, timeout_seconds=6)
    target = reloader.current().targets["large"]
    started = time.time()
    body = scraper.get("/metrics/large").content.decode()
    assert 'servicebus_scrape_error{reason="budget"} 1.0' in body
    assert "servicebus_up 0.0" in body
    answered = body.count("servicebus_subscription_active_messages{")
    assert 0 < answered < TOPICS
    wait_for(
        lambda: (found := last_result(target)) is not None and len(found.snapshot.subscriptions) > answered,
        "more subscriptions than the scrape had time for",
        seconds=30,
    )
    for _ in range(20):
        body = scraper.get("/metrics/large").content.decode()
        if "servicebus_up 1.0" in body:
            break
    assert "servicebus_up 1.0" in body
    assert body.count("servicebus_subscription_active_messages{") == TOPICS
    assert large.requests.total <= BURST + RATE * (time.time() - started) + 1
