"""Guessing scrape tokens gets slow, without locking anyone out."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from exporters.access.rate_limit import Guessing, guessing, network
from exporters.configuration.reloader import reloader

from . import people

ADDRESS = "192.0.2.1"
ASKED = "/metrics/payments-bus"


@pytest.fixture
def objects(db: None) -> Iterator[dict[str, Any]]:
    reloader.forget()
    guessing.forget()
    made = people.make()
    yield made
    guessing.forget()


def _guess(times: int, forwarded_for: str = "") -> list[int]:
    tokens = [Client(headers={"Authorization": f"Bearer sbh_guess-{number}"}) for number in range(times)]
    headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
    return [each.get(ASKED, REMOTE_ADDR=ADDRESS, headers=headers).status_code for each in tokens]


def test_after_some_wrong_tokens_an_address_has_to_wait(objects: dict[str, Any]) -> None:
    answers = _guess(40)
    assert answers[:20] == [401] * 20
    assert 429 in answers[20:]
    refused = Client(headers={"Authorization": "Bearer x"}).get(ASKED, REMOTE_ADDR=ADDRESS)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    # A valid token is not checked either; otherwise guessing would go on.
    assert people.client("platform-token").get(ASKED, REMOTE_ADDR=ADDRESS).status_code == 429


def test_prometheus_goes_on_behind_the_address_at_which_somebody_guesses(objects: dict[str, Any]) -> None:
    prometheus = people.client("token")
    assert prometheus.get(ASKED, REMOTE_ADDR=ADDRESS).status_code == 200
    _guess(40)
    assert prometheus.get(ASKED, REMOTE_ADDR=ADDRESS).status_code == 200
    assert people.client("platform-token").get(ASKED, REMOTE_ADDR="192.0.2.2").status_code == 200


def test_a_forged_header_changes_nothing_unless_it_comes_from_a_proxy(
    objects: dict[str, Any], settings: Any
) -> None:
    from ipaddress import ip_network

    _guess(40, "198.51.100.7")
    guesser = Client(headers={"Authorization": "Bearer x", "X-Forwarded-For": "198.51.100.8"})
    assert guesser.get(ASKED, REMOTE_ADDR=ADDRESS).status_code == 429
    settings.HUB_TRUSTED_PROXIES = [ip_network(ADDRESS)]
    assert guesser.get(ASKED, REMOTE_ADDR=ADDRESS).status_code == 401


def test_failures_are_forgiven_with_time_and_what_is_remembered_is_bounded() -> None:
    now = [0.0]
    counted = Guessing(clock=lambda: now[0])
    for _ in range(1000):
        counted.was_wrong(ADDRESS)
    assert 0 < counted.seconds_to_wait(ADDRESS, "") <= 5
    now[0] = 6
    assert counted.seconds_to_wait(ADDRESS, "") == 0
    for number in range(12_000):
        counted.was_wrong(str(number))
        counted.was_right(str(number))
    assert len(counted._spent) == len(counted._right) == 10_000


def test_an_ipv6_host_is_its_network() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff")
    assert network("::ffff:192.0.2.1") == "192.0.2.1"
