"""Guessing a password is slowed down where it happens, and locks nobody out elsewhere."""

from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db

PASSWORD = "a long enough password"
PROXY = "192.0.2.10"
STRANGER, USER = "198.51.100.1", "198.51.100.2"


@pytest.fixture(autouse=True)
def user() -> None:
    User.objects.create_superuser("root", password=PASSWORD)


def sign_in(password: str, address: str, forwarded_for: str = "") -> int:
    headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
    answer = Client().post(
        "/admin/login/", {"username": "root", "password": password}, REMOTE_ADDR=address, headers=headers
    )
    return answer.status_code


def test_the_right_password_is_not_looked_at_any_more_where_many_wrong_ones_came_from() -> None:
    assert [sign_in("wrong", STRANGER) for _ in range(10)] == [*[200] * 9, 429]
    assert sign_in(PASSWORD, STRANGER) == 429
    assert sign_in(PASSWORD, USER) == 302


def test_behind_a_trusted_proxy_a_stranger_locks_nobody_else_out(settings: Any) -> None:
    settings.HUB_TRUSTED_PROXIES = [ip_network(PROXY)]
    assert [sign_in("wrong", PROXY, STRANGER) for _ in range(10)][-1] == 429
    assert sign_in(PASSWORD, PROXY, STRANGER) == 429
    assert sign_in(PASSWORD, PROXY, USER) == 302


def test_who_writes_another_address_into_the_header_is_still_counted() -> None:
    answers = [sign_in("wrong", STRANGER, f"203.0.113.{number}") for number in range(10)]
    assert answers[-1] == 429


def test_addresses_of_one_ipv6_network_count_together_and_nonsense_breaks_nothing(settings: Any) -> None:
    settings.HUB_TRUSTED_PROXIES = [ip_network(PROXY)]
    assert [sign_in("wrong", f"2001:db8::{number}") for number in range(1, 11)][-1] == 429
    assert sign_in("wrong", PROXY, "not an address") == 200
