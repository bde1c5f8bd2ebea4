"""Guessing a password is slowed down at its source and locks nobody else out."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.apps import apps
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client
from django.utils import timezone

from exporters.access import sign_in_attempts

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


def test_tries_during_a_lock_out_do_not_prolong_it() -> None:
    now = timezone.now()
    assert [sign_in("wrong", STRANGER) for _ in range(10)][-1] == 429
    locked_at = AccessAttempt.objects.get().attempt_time
    assert [sign_in("wrong", STRANGER) for _ in range(20)] == [429] * 20
    attempt = AccessAttempt.objects.get()
    assert (attempt.attempt_time, attempt.failures_since_start) == (locked_at, 10)
    # A client tries again ten minutes later; a quarter of an hour after the lockout, it is over.
    AccessAttempt.objects.update(attempt_time=now - timedelta(minutes=10))
    assert sign_in("wrong", STRANGER) == 429
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=6))
    assert sign_in(PASSWORD, STRANGER) == 302


def test_a_failed_sign_in_keeps_nothing_of_what_was_sent_with_it() -> None:
    for number in range(3):
        Client().post(
            f"/admin/login/?next={'a' * 1000}",
            {"username": "root", "password": "wrong", "more": "x" * 100_000},
            headers={"User-Agent": f"{number}" * 250, "Accept": "y" * 4000},
        )
    attempt = AccessAttempt.objects.get()
    assert attempt.failures_since_start == 3
    texts = [str(value) for value in AccessAttempt.objects.values_list().get()]
    assert sum(map(len, texts)) < 200
    assert attempt.get_data == attempt.post_data == attempt.user_agent == attempt.http_accept == ""


def test_failed_sign_ins_are_a_bounded_number_of_rows_and_unlock_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sign_in_attempts, "MAX_FAILED_SIGN_INS", 12)
    assert [sign_in("wrong", STRANGER) for _ in range(10)][-1] == 429
    for number in range(30):
        Client().post(
            "/admin/login/", {"username": f"somebody-{number}", "password": "x"}, REMOTE_ADDR=STRANGER
        )
    assert AccessAttempt.objects.count() == 12
    assert AccessAttempt.objects.filter(username="somebody-29").exists()
    assert sign_in(PASSWORD, STRANGER) == 429
    assert sign_in(PASSWORD, USER) == 302


def test_strangers_add_rows_to_no_other_table() -> None:
    before = _rows()
    for number in range(3):
        client = Client(REMOTE_ADDR=STRANGER)
        for address in (
            "/",
            "/admin/",
            "/admin/login/",
            "/admin/no/such/page/",
            "/wall/guess",
            "/metrics/x",
            "/sd",
        ):
            client.get(address, {"q": number}, headers={"Authorization": f"Bearer sbh_{number}"})
            client.post(address, {"username": f"name-{number}", "password": "x", "do": "save"})
    grown = {name for name, count in _rows().items() if count > before[name]}
    assert grown == {"axes_accessattempt"}


def _rows() -> dict[str, int]:
    return {
        model._meta.db_table: model._default_manager.count()
        for model in apps.get_models(include_auto_created=True)
    }
