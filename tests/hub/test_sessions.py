"""Sessions: access to the database alone must not be enough to use one."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough password"


@pytest.fixture
def browser() -> Client:
    User.objects.create_superuser("root", password=PASSWORD)
    browser = Client()
    answer = browser.post("/admin/login/", {"username": "root", "password": PASSWORD})
    assert answer.status_code == 302
    return browser


def test_the_key_of_a_session_is_in_the_cookie_alone(browser: Client) -> None:
    stored = Session.objects.get()
    key = browser.cookies[settings.SESSION_COOKIE_NAME].value
    assert stored.session_key != key
    assert browser.get("/admin/").status_code == 200
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = stored.session_key
    assert thief.get("/admin/").status_code == 302


def test_a_sign_in_forgets_the_sessions_that_have_expired(browser: Client) -> None:
    for number, expires in enumerate((timedelta(days=-1), timedelta(hours=1))):
        Session.objects.create(
            session_key=f"session {number}", session_data="", expire_date=timezone.now() + expires
        )
    assert Client().post("/admin/login/", {"username": "root", "password": PASSWORD}).status_code == 302
    assert not Session.objects.filter(session_key="session 0").exists()
    assert Session.objects.count() == 3


def test_signing_out_ends_the_session(browser: Client) -> None:
    key = browser.cookies[settings.SESSION_COOKIE_NAME].value
    browser.post("/admin/logout/")
    assert not Session.objects.exists()
    browser.cookies[settings.SESSION_COOKIE_NAME] = key
    assert browser.get("/admin/").status_code == 302


def test_a_session_changes_and_a_changed_password_keeps_it_under_another_key(browser: Client) -> None:
    former = browser.cookies[settings.SESSION_COOKIE_NAME].value
    new = "an even longer password"
    answer = browser.post(
        "/admin/password_change/",
        {"old_password": PASSWORD, "new_password1": new, "new_password2": new},
    )
    assert answer.status_code == 302
    assert browser.cookies[settings.SESSION_COOKIE_NAME].value != former
    assert browser.get("/admin/").status_code == 200
    assert Session.objects.count() == 1


def test_a_key_that_was_never_given_out_opens_nothing(browser: Client) -> None:
    Session.objects.all().delete()
    assert browser.get("/admin/").status_code == 302
