"""Hanging, slow or excess scrapes take nothing from the others; a worker that ends finishes its scrapes.

Nothing here measures time: whether something waits is checked against reads that are known to hang at that time.
"""

import http.client
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from exporters.scraping.scrape import MAX_SCRAPES_OF_A_NAMESPACE
from simulator import Simulator
from tests.support.hubs import Hub
from tests.support.servers import wait_for
from tests.support.simulated import hang

HANGING = 30
# Hang for longer than anything below takes, even on a busy machine.
HANG_SECONDS = 13
CUT = (http.client.RemoteDisconnected, ConnectionError)

StartHub = Callable[..., "Scraped"]


class Scraped:
    """A running hub, scraped as Prometheus does: over kept connections, with the timeout in a header."""

    def __init__(self, hub: Hub, token: str, namespaces: list[str]) -> None:
        self.hub = hub
        self.token = token
        self.namespaces = namespaces

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.hub.port, timeout=60)

    def get(self, connection: http.client.HTTPConnection, name: str, timeout: float = HANG_SECONDS) -> str:
        """Scrape once; return the complete body of a 200 (http.client raises IncompleteRead for a short one)."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "X-Prometheus-Scrape-Timeout-Seconds": str(timeout),
        }
        connection.request("GET", f"/metrics/{name}", headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body
        return body

    def scrape(self, name: str, timeout: float = HANG_SECONDS) -> str:
        connection = self.connect()
        try:
            return self.get(connection, name, timeout)
        finally:
            connection.close()


@pytest.fixture
def start_hub(simulator: Simulator) -> Iterator[StartHub]:
    """Start a hub with all of the simulator's namespaces; those named hanging-N hang."""
    with ExitStack() as stack:

        def start(**variables: str) -> Scraped:
            hub = Hub({"HUB_ALLOW_LOOPBACK": "1", "HUB_CA_FILE": str(simulator.ca_file), **variables})
            stack.callback(hub.close)
            namespaces = {
                name: hang(bus, int(name.split("-")[1]))
                if name.startswith("hanging")
                else bus.connection_string
                for name, bus in simulator.namespaces.items()
            }
            token = hub.prepare(namespaces, timeout_seconds=30)
            hub.start()
            return Scraped(hub, token, sorted(namespaces))

        yield start


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(80) as pool:
        yield pool


def add(simulator: Simulator, *, hanging: int = 0, slow: int = 0) -> None:
    simulator.add_namespace("healthy").add_queue("orders", active=3)
    for number in range(hanging):
        simulator.add_namespace(f"hanging-{number}")
    for number in range(slow):
        simulator.add_namespace(f"slow-{number}", latency=2).add_queue("orders", active=3)


def in_flight(simulator: Simulator, prefix: str) -> int:
    """Return how many namespaces with this prefix have received a request."""
    asked = [bus.requests for name, bus in simulator.namespaces.items() if name.startswith(prefix)]
    return sum(requests.in_flight + requests.total > 0 for requests in asked)


def test_namespaces_that_hang_take_nothing_from_a_healthy_one_and_from_the_admin(
    simulator: Simulator, start_hub: StartHub, pool: ThreadPoolExecutor
) -> None:
    add(simulator, hanging=HANGING)
    scraped = start_hub()
    hanging = [pool.submit(scraped.scrape, name) for name in scraped.namespaces if name.startswith("hanging")]
    wait_for(lambda: in_flight(simulator, "hanging") >= HANGING * 2 // 3, "the namespaces hang")
    for _ in range(5):
        assert "\nservicebus_up 1.0\n" in scraped.scrape("healthy")
    assert scraped.hub.get("/admin/login/")[0] == 200
    assert not any(scrape.done() for scrape in hanging), "the healthy one waited for one that hangs"
    for scrape in hanging:
        assert "\nservicebus_up 0.0\n" in scrape.result()


def test_what_is_over_the_limit_is_refused_at_once_also_with_more_clients_than_threads(
    simulator: Simulator, start_hub: StartHub, pool: ThreadPoolExecutor
) -> None:
    add(simulator, hanging=60)
    scraped = start_hub(HUB_WORKERS="1", HUB_THREADS="28", HUB_MAX_SCRAPES="4")
    scrapes = {
        name: pool.submit(scraped.scrape, name) for name in scraped.namespaces if name.startswith("hanging")
    }
    wait_for(lambda: sum(each.done() for each in scrapes.values()) >= 56, "56 of 60 are refused")
    # The four admitted scrapes still hang, so nobody waited for them.
    admitted = [each for each in scrapes.values() if not each.done()]
    assert len(admitted) == 4
    refused = [each.result() for each in scrapes.values() if each.done()]
    assert all('\nservicebus_scrape_error{reason="overloaded"} 1.0\n' in body for body in refused)
    assert all("\nservicebus_up 0.0\n" in body for body in refused)
    assert all('reason="timeout"' in each.result() for each in admitted)
    [line] = [each for each in scraped.hub.log.read_text().splitlines() if "Refusing scrapes" in each]
    assert "HUB_MAX_SCRAPES" in line
    assert "\nservicebus_up 1.0\n" in scraped.scrape("healthy"), "the places are free again"


def test_one_namespace_does_not_take_the_places_of_all(
    simulator: Simulator, start_hub: StartHub, pool: ThreadPoolExecutor
) -> None:
    add(simulator, hanging=1)
    scraped = start_hub(HUB_WORKERS="1", HUB_THREADS="96", HUB_MAX_SCRAPES="72")
    scrapes = [pool.submit(scraped.scrape, "hanging-0", 5) for _ in range(80)]
    surplus = len(scrapes) - MAX_SCRAPES_OF_A_NAMESPACE
    wait_for(lambda: sum(each.done() for each in scrapes) >= surplus, "the surplus is refused")
    refused = [each.result() for each in scrapes if each.done()]
    assert all('\nservicebus_scrape_error{reason="overloaded"} 1.0\n' in body for body in refused)
    [line] = [each for each in scraped.hub.log.read_text().splitlines() if "Refusing scrapes" in each]
    assert f"hanging-0. The hub is already running {MAX_SCRAPES_OF_A_NAMESPACE} scrapes" in line
    assert "\nservicebus_up 1.0\n" in scraped.scrape("healthy")
    assert not all(each.done() for each in scrapes), "the others still hang"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP], ids=["stop", "reload"])
def test_a_stop_and_a_reload_finish_the_scrapes_in_flight(
    simulator: Simulator, start_hub: StartHub, pool: ThreadPoolExecutor, how: signal.Signals
) -> None:
    add(simulator, slow=12)
    scraped = start_hub()
    assert scraped.hub.process is not None
    scrapes = [
        pool.submit(scraped.scrape, name, 30) for name in scraped.namespaces if name.startswith("slow")
    ]
    wait_for(lambda: in_flight(simulator, "slow") == len(scrapes), "all scrapes are in flight")
    assert not any(scrape.done() for scrape in scrapes)
    before = {worker.pid for worker in scraped.hub.workers()}
    scraped.hub.process.send_signal(how)
    for scrape in scrapes:
        assert "\nservicebus_up 1.0\n" in scrape.result()
    if how is signal.SIGTERM:
        assert scraped.hub.process.wait(60) == 0
        return
    wait_for(lambda: not before & {worker.pid for worker in scraped.hub.workers()}, "the workers are new", 60)
    assert "\nservicebus_up 1.0\n" in scraped.scrape("healthy")


def test_worker_processes_are_replaced_without_a_failed_scrape(
    simulator: Simulator, start_hub: StartHub, pool: ThreadPoolExecutor
) -> None:
    add(simulator)
    scraped = start_hub(HUB_MAX_REQUESTS="20")
    first = {worker.pid for worker in scraped.hub.workers()}
    clients: list[Future[int]] = [pool.submit(_scrape_often, scraped, 50) for _ in range(6)]
    again = sum(client.result() for client in clients)
    assert again < 300
    wait_for(lambda: not first & {worker.pid for worker in scraped.hub.workers()}, "the workers are new", 60)


def _scrape_often(scraped: Scraped, times: int) -> int:
    """Scrape over one connection as long as it is kept; return how often the hub closed it during a request.

    It is not a failure if a connection that has served before is closed before the first byte of the next response:
    Go's net/http, and so Prometheus, sends such a GET again on another connection (its Transport's shouldRetry). A
    failure on a fresh connection, or in the middle of a response, is raised.
    """
    again = 0
    connection, used = scraped.connect(), False
    for _ in range(times):
        try:
            body = scraped.get(connection, "healthy")
        except CUT:
            if not used:
                raise
            again += 1
            connection.close()
            body = scraped.get(connection, "healthy")
        assert "\nservicebus_up 1.0\n" in body
        used = connection.sock is not None
        time.sleep(0.01)
    connection.close()
    return again
