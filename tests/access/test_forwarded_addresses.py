"""Whose address counts behind a proxy, in each of the forms that proxies write."""

import ipaddress
import logging
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exporters.access import rate_limit

PROXY = "192.0.2.10"
CLIENT = "203.0.113.7"


@pytest.fixture(autouse=True)
def _behind_a_proxy(settings: Any) -> None:
    settings.HUB_TRUSTED_PROXIES = [ip_network(PROXY), ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
    rate_limit._tell_once.cache_clear()


def seen(forwarded_for: str | None, remote: str = PROXY) -> str:
    headers = {} if forwarded_for is None else {"X-Forwarded-For": forwarded_for}
    request = RequestFactory().get("/sd", REMOTE_ADDR=remote, headers=headers)
    return rate_limit.client_address(request)


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        (None, PROXY),
        ("", PROXY),
        (CLIENT, CLIENT),
        # Azure Application Gateway.
        (f"{CLIENT}:51234", CLIENT),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        (f'"{CLIENT}:51234"', CLIENT),
        ("2001:DB8:0::1", "2001:db8::1"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"[::ffff:{CLIENT}]:80", CLIENT),
        ("fe80::1%<script>", "fe80::1"),
        # The proxy adds the last one; anyone can write the ones before it.
        (f"198.51.100.1, {CLIENT}:51234", CLIENT),
        (f"{CLIENT}, 10.0.0.3:4711", CLIENT),
        (f"{CLIENT},,[fd00::1]:80, ,10.0.0.3", CLIENT),
        (f"unknown, {CLIENT}", CLIENT),
        # Not an address: the address of the proxy that sent it counts.
        ("unknown", PROXY),
        ("_hidden:123", PROXY),
        (f"{CLIENT}, unknown", PROXY),
        (f"{CLIENT}, unknown, 10.0.0.3", "10.0.0.3"),
        ("203.0.113.7:51234:9", PROXY),
        ("[", PROXY),
        ("999.0.0.1", PROXY),
        ("\xff\x00", PROXY),
        # Long chains of proxies: at the limit of addresses that are examined, and one beyond it.
        (f"{CLIENT}" + ", 10.0.0.3" * 19, CLIENT),
        (f"{CLIENT}" + ", 10.0.0.3" * 20, "10.0.0.3"),
    ],
)
def test_the_address_is_that_of_who_asks_the_outermost_trusted_proxy(
    forwarded_for: str | None, address: str
) -> None:
    assert seen(forwarded_for) == address


def test_from_elsewhere_the_header_counts_nothing() -> None:
    assert seen(CLIENT, remote="198.51.100.9") == "198.51.100.9"
    assert seen(CLIENT, remote="") == ""
    assert seen(CLIENT, remote=f"::ffff:{PROXY}") == CLIENT


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.text(st.characters(max_codepoint=255), max_size=80)
    | st.text(st.sampled_from('1203.:[]", f%'), max_size=80),
    st.sampled_from([PROXY, "fd00::5", "::ffff:10.0.0.1", "", "garbage", "198.51.100.9"]),
)
def test_whatever_the_header_holds_there_is_one_plain_address(forwarded_for: str, remote: str) -> None:
    address = seen(forwarded_for, remote)
    assert (address == "") == (remote in ("", "garbage"))
    if address:
        assert str(ipaddress.ip_address(address)) == address
        assert rate_limit.network(address)


def test_a_proxy_that_sends_no_address_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            seen("unknown")
    assert caplog.text.count("sends no address in X-Forwarded-For") == 1


@pytest.mark.django_db
def test_with_ports_one_stranger_locks_nobody_else_out_and_is_slowed_down() -> None:
    User.objects.create_superuser("root", password="a long enough password")

    def sign_in(password: str, forwarded_for: str) -> int:
        form = {"username": "root", "password": password}
        headers = {"X-Forwarded-For": forwarded_for}
        return Client().post("/admin/login/", form, REMOTE_ADDR=PROXY, headers=headers).status_code

    assert [sign_in("wrong", f"198.51.100.1:{port}") for port in range(50_000, 50_010)][-1] == 429
    assert sign_in("a long enough password", f"{CLIENT}:50000") == 302
    tokens = [
        Client()
        .get(
            "/sd",
            headers={"Authorization": f"Bearer sbh_{port}", "X-Forwarded-For": f"{CLIENT}:{port}"},
            REMOTE_ADDR=PROXY,
        )
        .status_code
        for port in range(50_000, 50_030)
    ]
    assert (tokens[0], tokens[-1]) == (401, 429)
