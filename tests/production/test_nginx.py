"""A real nginx with deploy/nginx/nginx.conf in front of a real hub: whose addresses and headers come through."""

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench.hubs import Hub, Nginx
from tests import programs

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
                # Wrong tokens are counted in each worker process.
                "HUB_WORKERS": "1",
            }
        )
        stack.callback(hub.close)
        hub.manage("prepare")
        hub.manage(module="bench.seed", text=json.dumps({"namespaces": {}}))
        hub.start()
        yield stack.enter_context(Nginx([hub, hub]))


def ask(nginx: Nginx, source: str, path: str, **headers: str) -> http.client.HTTPResponse:
    """Ask nginx from one of this machine's loopback addresses."""
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
