"""PostgreSQL sessions that went silent while TCP still works, as behind a proxy that has forgotten them."""

import json
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from exporters.database_sessions.sessions import Session
from tests.support.hubs import Hub
from tests.support.programs import require
from tests.support.servers import PostgreSQL, wait_for

KEYS = {"HUB_SECRET_KEY": "k" * 60, "HUB_ENCRYPTION_KEYS": "A" * 43 + "="}


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    require("postgres")
    with PostgreSQL() as server:
        yield server


class Relay(socketserver.ThreadingTCPServer):
    """Relays data; `silence` makes all current sessions silent, while new ones work."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.leads_to = port
        self.silences = 0
        super().__init__(("127.0.0.1", 0), _Session)
        self.port = self.server_address[1]

    def silence(self) -> None:
        self.silences += 1


class _Session(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        since = self.server.silences
        with socket.create_connection(("127.0.0.1", self.server.leads_to)) as there:
            threading.Thread(target=self._pass_on, args=(there, self.request, since), daemon=True).start()
            self._pass_on(self.request, there, since)

    def _pass_on(self, source: socket.socket, to: socket.socket, since: int) -> None:
        try:
            while data := source.recv(65536):
                if since == self.server.silences:
                    to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def relay(postgresql: PostgreSQL) -> Iterator[Relay]:
    with Relay(postgresql.port) as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        yield relay
        relay.shutdown()


def test_a_session_that_says_nothing_is_closed_and_one_that_answers_in_time_is_not(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "patience", 1.0)
    with Session.connect(postgresql.url("postgres")) as session:
        session.execute("SELECT pg_sleep(0.3)")
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="has not responded for 1 s"):
            session.execute("SELECT pg_sleep(30)")
        assert time.monotonic() - began < 5
        assert session.closed


@pytest.mark.e2e
def test_a_hub_replaces_sessions_that_went_silent(postgresql: PostgreSQL, relay: Relay) -> None:
    url = postgresql.url().replace(f":{postgresql.port}", f":{relay.port}")
    hub = Hub({"HUB_DATABASE_URL": url, "HUB_WORKERS": "1", **KEYS})

    def degraded() -> list[str]:
        return list(json.loads(hub.get("/-/ready")[1])["degraded"])

    try:
        hub.manage("prepare")
        hub.start()
        wait_for(lambda: degraded() == [], "the database is found")
        relay.silence()
        wait_for(lambda: degraded() == ["database", "keys"], "the silence is noticed")
        wait_for(lambda: degraded() == [], "new sessions are used", 60)
    finally:
        hub.close()
