"""Scrapes of a namespace are answered by one worker process, whichever of them Prometheus's connection meets."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from bench.hubs import Hub, Simulated
from bench.servers import wait_for

pytestmark = pytest.mark.e2e

NAMESPACES = [f"load-{number:04}" for number in range(12)]


class Deployed:
    """A hub of several workers, and what they read."""

    def __init__(self, stack: ExitStack, workers: int, **variables: str) -> None:
        self.simulated = stack.enter_context(Simulated(len(NAMESPACES), 3, 0))
        self.number = workers
        self.hub = Hub(
            {
                "HUB_ALLOW_LOOPBACK": "1",
                "HUB_CA_FILE": self.simulated.ca_file,
                "HUB_WORKERS": str(workers),
                "HUB_THREADS": "16",
                **variables,
            }
        )
        stack.callback(self.hub.close)
        self.hub.manage("prepare")
        fields = {"requests_per_second": 1000, "burst": 1000, "concurrency": 1}
        wanted = {"namespaces": self.simulated.namespaces, "fields": fields}
        self.token = self.hub.manage(module="bench.seed", text=json.dumps(wanted)).strip()
        self.hub.start()
        self.wait_for_workers()

    def wait_for_workers(self, *gone: int) -> None:
        """Wait until all workers serve, and these are gone."""

        def all_serve() -> bool:
            pids = {worker.pid for worker in self.hub.workers() if worker.status() != psutil.STATUS_ZOMBIE}
            return len(pids) == self.number and not pids & set(gone)

        wait_for(all_serve, f"{self.number} workers", 60)
        time.sleep(1)  # until a new one's loop runs

    def is_scraped(self, name: str) -> bool:
        status, body = self.hub.get(f"/metrics/{name}", self.token)
        return status == 200 and "\nservicebus_up 1" in body

    def owner(self, name: str) -> int:
        """Scrape a namespace on new connections; return which worker has answered all of these."""
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


@pytest.fixture(params=[2, 4])
def deployed(request: pytest.FixtureRequest) -> Iterator[Deployed]:
    with ExitStack() as stack:
        yield Deployed(stack, request.param)


def test_a_namespace_stays_with_one_worker_and_comes_back_to_its_successor(deployed: Deployed) -> None:
    owners = {name: deployed.owner(name) for name in NAMESPACES}
    # The first scrape of a namespace connects; the others used that connection.
    assert all(owners.values())
    assert len(set(owners.values())) > 1, "each worker has some"

    killed = owners[NAMESPACES[0]]
    before = {worker.pid for worker in deployed.hub.workers()}
    psutil.Process(killed).send_signal(signal.SIGKILL)
    assert all(deployed.is_scraped(name) for name in NAMESPACES), "meanwhile others answer"
    deployed.wait_for_workers(killed)
    (successor,) = {worker.pid for worker in deployed.hub.workers()} - before
    assert all(deployed.is_scraped(name) for name in NAMESPACES * 6)
    # One connection for each of them: no other namespace has moved there.
    assert len(deployed.connected()[successor]) == list(owners.values()).count(killed)


def test_a_kept_connection_reaches_the_owner_of_each_namespace_in_turn(deployed: Deployed) -> None:
    with ExitStack() as stack:
        kept = []
        for _ in range(4):
            connection = http.client.HTTPConnection("127.0.0.1", deployed.hub.port, timeout=30)
            stack.callback(connection.close)
            kept.append(connection)
        for _ in range(3):
            for name in NAMESPACES:
                for connection in kept:
                    connection.request(
                        "GET", f"/metrics/{name}", headers={"Authorization": f"Bearer {deployed.token}"}
                    )
                    answer = connection.getresponse()
                    assert answer.status == 200
                    assert b"\nservicebus_up 1" in answer.read()
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
    """Wrong tokens count under the address that shows them, at each owner."""
    for name in NAMESPACES:
        for _ in range(25):
            status = ask_from("127.0.0.2", deployed.hub.port, f"/metrics/{name}", "wrong")
        assert status == 429
        assert ask_from("127.0.0.3", deployed.hub.port, f"/metrics/{name}", "wrong") in (401, 429)
        assert ask_from("127.0.0.1", deployed.hub.port, f"/metrics/{name}", deployed.token) == 200


def ask_from(address: str, port: int, path: str, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(address, 0))
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_half_a_request_is_left_with_the_worker_that_it_met(deployed: Deployed) -> None:
    head = f"GET /metrics/{{}} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {deployed.token}\r\n\r\n"
    for name in NAMESPACES:
        text = head.format(name).encode()
        with socket.create_connection(("127.0.0.1", deployed.hub.port), timeout=30) as client:
            client.sendall(text[:30])
            time.sleep(0.1)
            client.sendall(text[30:])
            assert client.recv(15) == b"HTTP/1.1 200 OK"
