"""A real nginx with deploy/nginx/nginx.conf in front of a real hub: which addresses and headers get through."""

import http.client
import ssl
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support import programs
from tests.support.hubs import Hub, Nginx, Simulated, deployed_settings
from tests.support.servers import PostgreSQL, wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def nginx() -> Iterator[Nginx]:
    programs.require("nginx")
    programs.require("openssl")
    with ExitStack() as stack:
        hub = Hub(
            {
                "HUB_EXTERNAL_URL": "https://hub.example.com",
                "HUB_SECRET_KEY": "a-key-of-this-test",
                "HUB_ENCRYPTION_KEYS": "A" * 43 + "=",
                "HUB_TRUSTED_PROXIES": "127.0.0.1",
                # Wrong tokens are counted per worker process.
                "HUB_WORKERS": "1",
            }
        )
        stack.callback(hub.close)
        hub.manage("prepare")
        hub.start()
        yield stack.enter_context(Nginx([hub, hub]))


def ask(nginx: Nginx, source: str, path: str, **headers: str) -> http.client.HTTPResponse:
    """Send a request to nginx from one of this machine's loopback addresses."""
    context = ssl.create_default_context(cafile=str(nginx.certificate))
    connection = http.client.HTTPSConnection(
        "127.0.0.1", nginx.port, timeout=30, context=context, source_address=(source, 0)
    )
    connection.request("GET", path, headers={"Host": "hub.example.com", **headers})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_wrong_tokens_are_counted_under_the_address_of_who_shows_them_whatever_he_says_of_himself(
    nginx: Nginx,
) -> None:
    wrong = {"Authorization": "Bearer sbh_wrong", "X-Forwarded-For": "127.0.0.3"}
    statuses = [ask(nginx, "127.0.0.2", "/sd", **wrong).status for _ in range(25)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert ask(nginx, "127.0.0.3", "/sd", **wrong).status == 401


def test_a_page_says_once_that_it_is_for_tls_alone(nginx: Nginx) -> None:
    answer = ask(nginx, "127.0.0.1", "/admin/login/")
    assert answer.status == 200
    assert answer.headers.get_all("Strict-Transport-Security") == ["max-age=31536000; includeSubDomains"]


def test_scrapes_go_on_while_postgresql_and_one_hub_are_away_and_everything_else_answers_503() -> None:
    for name in ("nginx", "openssl", "postgres", "initdb"):
        programs.require(name)
    with ExitStack() as stack:
        simulated = stack.enter_context(Simulated(1, 5, 0))
        database = stack.enter_context(PostgreSQL())
        settings = deployed_settings(database.url(), "", simulated.ca_file)
        hubs = [Hub({**settings, "HUB_WORKERS": "1"}) for _ in range(2)]
        for hub in hubs:
            stack.callback(hub.close)
        token = hubs[0].prepare(simulated.namespaces)
        for hub in hubs:
            hub.start()
        nginx = stack.enter_context(Nginx(hubs))

        def status(path: str) -> int:
            try:
                return nginx.get(path, token)[0]
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        assert [status("/sd"), status("/metrics/load-0000")] == [200, 200]
        database.stop()
        wait_for(
            lambda: all(hub.get("/sd", token)[0] == 503 for hub in hubs),
            "the hubs notice that the database is away",
        )
        both = [(status("/sd"), status("/metrics/load-0000")) for _ in range(5)]
        # All six reached the same hub.
        scraped = [
            hub for hub in hubs if 'hub_scrapes_total{outcome="success"} 6' in hub.get("/metrics", token)[1]
        ]
        assert len(scraped) == 1
        scraped[0].stop()
        one = [(status("/sd"), status("/metrics/load-0000")) for _ in range(5)]
        assert {*both, *one} == {(503, 200)}
