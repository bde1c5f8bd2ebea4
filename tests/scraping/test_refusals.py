"""A hub with more scrapes than it can answer in time refuses some of them, and recovers."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from exporters.scraping.admission import MESSAGE
from simulator import Simulator
from tests.failures.test_isolation import Scraped, StartHub, start_hub
from tests.support.hubs import Hub
from tests.support.servers import wait_for

__all__ = ["start_hub"]

pytestmark = pytest.mark.e2e

REFUSED = '\nservicebus_scrape_error{reason="overloaded"} 1.0\n'


@pytest.fixture
def scraped(simulator: Simulator, start_hub: StartHub) -> Scraped:
    for number in range(100):
        namespace = simulator.add_namespace(f"load-{number}")
        for queue in range(20):
            namespace.add_queue(f"queue-{queue}")
    return start_hub(HUB_WORKERS="1")


def refused_total(hub: Hub, token: str) -> float:
    _, body = hub.get("/metrics", token)
    [line] = [line for line in body.splitlines() if line.startswith('hub_scrapes_total{outcome="refused"}')]
    return float(line.split()[-1])


def test_too_many_scrapes_are_refused_with_the_reason_and_the_hub_recovers(scraped: Scraped) -> None:
    bodies: list[str] = []

    def some_are_refused() -> bool:
        with ThreadPoolExecutor(100) as pool:
            # A timeout of 1 s keeps the queue short.
            bodies.extend(pool.map(lambda name: scraped.scrape(name, 1.0), scraped.namespaces))
        return any(REFUSED in body for body in bodies)

    wait_for(some_are_refused, "a scrape is refused", 120)
    refused = [body for body in bodies if REFUSED in body]
    assert all("\nservicebus_up 0.0\n" in body for body in refused)
    assert refused_total(scraped.hub, scraped.token) == len(refused)
    log = scraped.hub.log.read_text()
    assert MESSAGE in log
    assert log.count("Refusing scrapes (overloaded)") < len(refused) or len(refused) == 1

    # One after the other, so that none has to wait.
    assert all("\nservicebus_up 1.0\n" in scraped.scrape(name) for name in scraped.namespaces[:20])
    assert "\nhub_reads_waiting 0.0\n" in scraped.hub.get("/metrics", scraped.token)[1]
