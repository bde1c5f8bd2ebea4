"""Clients that connect and stay silent, or stop halfway, never keep a scrape from being answered."""

import resource
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.hubs import Hub, Simulated
from tests.support.servers import wait_for

from .test_tls import KEYS, WithTLS, make

pytestmark = pytest.mark.e2e

THREADS = 8
HALF_A_REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: lo"
HALF_A_FORM = (
    b"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 1000\r\n\r\nusername="
)
A_REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n"
A_LAST_REQUEST = A_REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
# The beginning of a ClientHello, which announces a record of 512 bytes.
HALF_A_HANDSHAKE = b"\x16\x03\x01\x02\x00\x01"


class Limited(Hub):
    """A hub that is started under a limit of open files; `ulimit` has the options of that command."""

    def __init__(self, ulimit: str) -> None:
        super().__init__({"HUB_WORKERS": "1", "HUB_THREADS": str(THREADS)})
        self._ulimit = ulimit

    def command(self) -> Sequence[str]:
        return ["sh", "-c", f'ulimit {self._ulimit} && exec "$@"', "sh", *super().command()]


@pytest.fixture
def limited(request: pytest.FixtureRequest) -> Iterator[Limited]:
    hub = Limited(request.param)
    try:
        hub.manage("prepare")
        hub.start()
        yield hub
    finally:
        hub.close()


@pytest.fixture(scope="module")
def scraped() -> Iterator[tuple[Hub, str]]:
    """A hub with one worker process and few threads, and a token for its namespace load-0000."""
    with ExitStack() as stack:
        simulated = stack.enter_context(Simulated(1, 5, 0))
        hub = Hub(
            {
                "HUB_ALLOW_LOOPBACK": "1",
                "HUB_CA_FILE": simulated.ca_file,
                "HUB_WORKERS": "1",
                "HUB_THREADS": str(THREADS),
            }
        )
        stack.callback(hub.close)
        token = hub.prepare(simulated.namespaces, requests_per_second=1000, burst=1000)
        hub.start()
        yield hub, token


@contextmanager
def clients(port: int, number: int, say: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connect `number` clients, each of which sends `say` and then nothing."""
    with ExitStack() as stack:
        connected = []
        for _ in range(number):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            client.sendall(say)
            connected.append(client)
        yield connected


def is_scraped(scraped: tuple[Hub, str]) -> bool:
    hub, token = scraped
    status, body = hub.get("/metrics/load-0000", token)
    return status == 200 and "\nservicebus_up 1" in body


def all_end(connected: list[socket.socket]) -> None:
    for client in connected:
        while client.recv(65536):
            pass


def test_silent_clients_take_no_thread(scraped: tuple[Hub, str]) -> None:
    with clients(scraped[0].port, THREADS * 5) as silent:
        for _ in range(5):
            assert is_scraped(scraped)
        for client in silent:
            client.setblocking(False)
            with pytest.raises(BlockingIOError):  # still connected
                client.recv(1)


def test_kept_connections_take_no_thread(scraped: tuple[Hub, str]) -> None:
    with clients(scraped[0].port, 300, A_REQUEST) as kept:
        assert all(client.recv(4096).startswith(b"HTTP/1.1 200") for client in kept)
        for _ in range(5):
            assert is_scraped(scraped)


@pytest.mark.parametrize("half", [HALF_A_REQUEST, HALF_A_FORM], ids=["request", "form"])
def test_who_begins_and_does_not_go_on_is_ended_and_gives_its_thread_back(
    scraped: tuple[Hub, str], half: bytes
) -> None:
    with clients(scraped[0].port, THREADS, half) as begun:
        all_end(begun)
        assert is_scraped(scraped)
    assert "Traceback" not in scraped[0].log.read_text()


def test_who_does_not_close_a_connection_after_its_last_answer_holds_nobody_up(
    scraped: tuple[Hub, str],
) -> None:
    with clients(scraped[0].port, THREADS * 5, A_LAST_REQUEST) as finished:
        began = time.monotonic()
        assert is_scraped(scraped)
        # Each of them could make a worker wait for 2 s.
        assert time.monotonic() - began < 10
        for client in finished:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        all_end(finished)
        wait_for(lambda: all(map(is_gone, finished)), "the hub has closed them")


def is_gone(client: socket.socket) -> bool:
    """Return whether the peer has closed a connection in both directions."""
    try:
        client.sendall(b"\r\n")
    except OSError:
        return True
    return False


def test_a_handshake_that_does_not_go_on_is_ended(tmp_path: Path) -> None:
    hub = WithTLS({**KEYS, **make(tmp_path / "tls"), "HUB_WORKERS": "1", "HUB_THREADS": str(THREADS)})
    try:
        hub.manage("prepare")
        hub.start()
        with clients(hub.port, THREADS, HALF_A_HANDSHAKE) as begun:
            all_end(begun)
            assert hub.shows()
        assert "Traceback" not in hub.log.read_text()
    finally:
        hub.close()


@pytest.mark.parametrize("limited", ["-n 150"], indirect=True)
def test_a_worker_that_may_open_no_more_files_lives_on_and_answers_when_it_may(limited: Limited) -> None:
    worker = limited.workers()[0].pid
    with clients(limited.port, 200):
        wait_for(lambda: "no free file descriptors" in limited.log.read_text(), "the limit is met")
    wait_for(limited.is_up, "it answers again")
    assert limited.workers()[0].pid == worker
    # The worker tries again once per second, and logs it once per minute.
    assert limited.log.read_text().count("no free file descriptors") == 1


@pytest.mark.parametrize("limited", ["-Sn 256"], indirect=True)
def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one(limited: Limited) -> None:
    soft, hard = psutil.Process(limited.workers()[0].pid).rlimit(resource.RLIMIT_NOFILE)
    assert soft == hard > 256


def test_a_silent_client_does_not_hold_up_a_stop(scraped: tuple[Hub, str]) -> None:
    hub, _ = scraped
    with clients(hub.port, 3):
        started = time.monotonic()
        hub.stop()
        # 2 s for kept connections; a worker waits for at most 30 s.
        assert time.monotonic() - started < 8
    hub.start()
