"""One worker process answers all scrapes of a namespace, whichever worker Prometheus's connection reaches."""

import http.client
import re
import signal
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.support.hubs import Hub, Simulated
from tests.support.servers import wait_for

from .test_tls import KEYS, WithTLS, make

pytestmark = pytest.mark.e2e

NAMESPACES = [f"load-{number:04}" for number in range(12)]


class Deployed:
    """A hub with several workers, and the simulator that they read."""

    def __init__(self, stack: ExitStack, workers: int, **variables: str) -> None:
        self.simulated = stack.enter_context(Simulated(len(NAMESPACES), 3, 0))
        self.number = workers
        self.hub = (WithTLS if "HUB_TLS_CERT_FILE" in variables else Hub)(
            {
                "HUB_ALLOW_LOOPBACK": "1",
                "HUB_CA_FILE": self.simulated.ca_file,
                "HUB_WORKERS": str(workers),
                "HUB_THREADS": "80",
                **variables,
            }
        )
        stack.callback(self.hub.close)
        fields = {"requests_per_second": 1000, "burst": 1000, "concurrency": 1}
        self.token = self.hub.prepare(self.simulated.namespaces, **fields)
        self.hub.start()
        self.wait_for_workers()

    def wait_for_workers(self, *gone: int) -> None:
        """Wait until all workers serve and the `gone` ones have ended."""

        def all_serve() -> bool:
            pids = {worker.pid for worker in self.hub.workers() if worker.status() != psutil.STATUS_ZOMBIE}
            return len(pids) == self.number and not pids & set(gone)

        wait_for(all_serve, f"{self.number} workers", 60)
        time.sleep(1)  # until a new worker's loop runs

    def connect(self, address: str = "127.0.0.1") -> http.client.HTTPConnection:
        """Return a new connection from the given address."""
        if "HUB_TLS_CERT_FILE" not in self.hub.variables:
            return http.client.HTTPConnection(
                "127.0.0.1", self.hub.port, timeout=30, source_address=(address, 0)
            )
        context = ssl.create_default_context(cafile=self.hub.variables["HUB_TLS_CERT_FILE"])
        return http.client.HTTPSConnection(
            "127.0.0.1", self.hub.port, timeout=30, source_address=(address, 0), context=context
        )

    def ask(self, name: str, token: str, address: str = "127.0.0.1") -> tuple[int, str]:
        """Scrape a namespace on a new connection."""
        connection = self.connect(address)
        try:
            return ask(connection, name, token)
        finally:
            connection.close()

    def is_scraped(self, name: str) -> bool:
        status, body = self.ask(name, self.token)
        return status == 200 and "\nservicebus_up 1" in body

    def owner(self, name: str) -> int:
        """Scrape a namespace on new connections; return the PID of the worker that answered them all."""
        before = self.connected()
        assert all(self.is_scraped(name) for _ in range(12))
        (pid,) = [pid for pid, ports in self.connected().items() if ports - before.get(pid, set())] or [0]
        return pid

    def connected(self) -> dict[int, set[int]]:
        """Return the local ports of each worker's connections to Service Bus."""
        return {
            worker.pid: {
                connection.laddr.port
                for connection in worker.net_connections("tcp")
                if connection.raddr and connection.laddr.port != self.hub.port
            }
            for worker in self.hub.workers()
        }


def ask(connection: http.client.HTTPConnection, name: str, token: str, below: str = "") -> tuple[int, str]:
    connection.request("GET", f"{below}/metrics/{name}", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.fixture(params=["2", "4", "2 with TLS"])
def deployed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployed]:
    workers, _, tls = request.param.partition(" ")
    with ExitStack() as stack:
        yield Deployed(stack, int(workers), **({**KEYS, **make(tmp_path / "tls")} if tls else {}))


def test_a_namespace_stays_with_one_worker_and_comes_back_to_its_successor(deployed: Deployed) -> None:
    owners = {name: deployed.owner(name) for name in NAMESPACES}
    # The first scrape of a namespace opened a connection; the others reused it.
    assert all(owners.values())
    assert len(set(owners.values())) > 1, "each worker has some"

    killed = owners[NAMESPACES[0]]
    before = {worker.pid for worker in deployed.hub.workers()}
    psutil.Process(killed).send_signal(signal.SIGKILL)
    assert all(deployed.is_scraped(name) for name in NAMESPACES), "meanwhile others answer"
    deployed.wait_for_workers(killed)
    (successor,) = {worker.pid for worker in deployed.hub.workers()} - before
    assert all(deployed.is_scraped(name) for name in NAMESPACES * 6)
    # One connection per namespace: no other namespace has moved to the successor.
    assert len(deployed.connected()[successor]) == list(owners.values()).count(killed)


def test_a_kept_connection_reaches_the_owner_of_each_namespace_in_turn(deployed: Deployed) -> None:
    with ExitStack() as stack:
        kept = [deployed.connect() for _ in range(4)]
        for connection in kept:
            stack.callback(connection.close)
        for name in NAMESPACES * 3:
            for connection in kept:
                status, body = ask(connection, name, deployed.token)
                assert status == 200
                assert "\nservicebus_up 1" in body
        for connection in kept:
            connection.request("GET", "/-/healthy")
            assert connection.getresponse().read()
    readers = deployed.connected()
    assert sum(map(len, readers.values())) == len(NAMESPACES), readers


def test_a_worker_that_hangs_costs_a_scrape_a_second_and_no_answer(deployed: Deployed) -> None:
    owners = {name: deployed.owner(name) for name in NAMESPACES}
    stopped = psutil.Process(owners[NAMESPACES[0]])
    stopped.suspend()
    try:
        for name in NAMESPACES:
            began = time.monotonic()
            assert deployed.is_scraped(name)
            assert time.monotonic() - began < 5, "Prometheus waits for 10 s"
        assert "did not take a request" in deployed.hub.log.read_text()
    finally:
        stopped.resume()
    assert all(deployed.is_scraped(name) for name in NAMESPACES)


def test_a_request_that_was_sent_on_comes_from_its_client(deployed: Deployed) -> None:
    """At each owner, wrong tokens count under the address that sent them."""
    for name in NAMESPACES[:6]:
        for _ in range(25):
            status, _ = deployed.ask(name, "wrong", "127.0.0.2")
        assert status == 429
        assert deployed.ask(name, "wrong", "127.0.0.3")[0] in (401, 429)
        assert deployed.ask(name, deployed.token)[0] == 200


def test_a_request_that_was_sent_on_comes_from_the_client_that_a_trusted_proxy_names() -> None:
    def status(name: str, client: str) -> int:
        connection = deployed.connect()
        headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": client}
        connection.request("GET", f"/metrics/{name}", headers=headers)
        found = connection.getresponse().status
        connection.close()
        return found

    with ExitStack() as stack:
        deployed = Deployed(stack, 2, HUB_TRUSTED_PROXIES="127.0.0.1")
        for number, name in enumerate(NAMESPACES[:6]):
            guesser, other = f"192.0.2.{number}", f"198.51.100.{number}"
            assert [status(name, guesser) for _ in range(25)][-1] == 429
            assert status(name, other) == 401
            assert deployed.is_scraped(name)


def test_a_namespace_stays_with_one_worker_below_a_path_that_a_proxy_keeps() -> None:
    with ExitStack() as stack:
        deployed = Deployed(stack, 2, HUB_EXTERNAL_URL="http://localhost/monitoring/hub")
        for name in NAMESPACES:
            for _ in range(6):
                connection = deployed.connect()
                status, body = ask(connection, name, deployed.token, "/monitoring/hub")
                connection.close()
                assert status == 200
                assert "\nservicebus_up 1" in body
        readers = deployed.connected()
    assert sum(map(len, readers.values())) == len(NAMESPACES), readers


def test_half_a_request_is_left_with_the_worker_that_it_met(deployed: Deployed) -> None:
    head = f"GET /metrics/{{}} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {deployed.token}\r\n\r\n"
    for name in NAMESPACES:
        text = head.format(name).encode()
        connection = deployed.connect()
        connection.connect()
        with connection.sock as client:
            client.sendall(text[:30])
            time.sleep(0.1)
            client.sendall(text[30:])
            assert client.recv(15) == b"HTTP/1.1 200 OK"


def test_an_owner_that_is_killed_costs_a_relayed_scrape_no_answer(tmp_path: Path) -> None:
    with ExitStack() as stack:
        deployed = Deployed(stack, 2, **{**KEYS, **make(tmp_path / "tls")})
        owners = {name: deployed.owner(name) for name in NAMESPACES}
        pool = stack.enter_context(ThreadPoolExecutor(48))
        killed = owners[NAMESPACES[0]]
        # About half of them reach the other worker.
        scrapes = [
            (name, pool.submit(deployed.ask, name, deployed.token))
            for name in NAMESPACES * 4
            if owners[name] == killed
        ]
        psutil.Process(killed).send_signal(signal.SIGKILL)
        answered = [scrape for _, scrape in scrapes if scrape.exception() is None]
        assert answered
        for scrape in answered:
            status, body = scrape.result()
            assert status == 200
            assert "\nservicebus_up 1" in body, re.findall("servicebus_scrape_error.*", body)
