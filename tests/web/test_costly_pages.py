"""Expensive pages get a bounded share of a worker process, and each user a part of that share."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from django.test import Client

from exporters.access import costly_pages
from exporters.access.costly_pages import (
    MAX_COSTLY_PAGES,
    MAX_COSTLY_PAGES_OF_A_USER,
    MAX_SIGN_INS_OF_AN_ADDRESS,
    pages,
    sign_ins,
)
from exporters.concurrency_limit import ConcurrencyLimit, Full
from exporters.configuration.reloader import reloader
from exporters.scraping import last_reading
from tests.access import people
from tests.support.run_command import Running

NAMESPACE = "/admin/exporters/namespace"


@pytest.fixture(autouse=True)
def _all_places_are_free() -> Iterator[None]:
    yield
    assert not pages._taken
    assert not sign_ins._taken


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    reloader.forget()
    last_reading.forget()
    return people.make()


def _costly(objects: dict[str, Any]) -> list[tuple[str, str]]:
    page = f"{NAMESPACE}/{objects['namespace']}"
    looks = [f"{page}/entities/", f"{page}/exposition/", f"{page}/rules/", "/admin/changes/"]
    return [("get", address) for address in looks] + [
        ("post", f"{page}/rules/"),
        ("post", f"{page}/status/"),
        ("post", "/admin/exporters/namespace/"),
    ]


def test_a_user_with_many_costly_pages_waits_and_others_do_not(objects: dict[str, Any]) -> None:
    viewer, other = people.client("viewer"), people.client("editor")
    who = str(people.User.objects.get(username="viewer").pk)
    for _ in range(MAX_COSTLY_PAGES_OF_A_USER):
        assert pages.take(who) is None
    try:
        for method, address in _costly(objects):
            answer = getattr(viewer, method)(address)
            assert answer.status_code == 429, address
            assert answer["Retry-After"] == "2"
            assert "your earlier requests" in answer.text
        assert viewer.get("/admin/").status_code == 200
        assert other.get(f"{NAMESPACE}/{objects['namespace']}/entities/").status_code == 200
    finally:
        for _ in range(MAX_COSTLY_PAGES_OF_A_USER):
            pages.give(who)
    assert viewer.get(f"{NAMESPACE}/{objects['namespace']}/entities/").status_code == 200


def test_all_users_together_leave_threads_for_the_rest(objects: dict[str, Any]) -> None:
    for number in range(MAX_COSTLY_PAGES):
        assert pages.take(f"user {number}") is None
    try:
        answer = people.client("viewer").get("/admin/changes/")
        assert answer.status_code == 503
        assert people.client("viewer").get("/admin/").status_code == 200
        assert Client().get("/-/healthy").status_code == 200
    finally:
        for number in range(MAX_COSTLY_PAGES):
            pages.give(f"user {number}")


def test_a_page_that_fails_or_is_refused_gives_its_place_back(
    objects: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = people.client("viewer")
    client.raise_request_exception = False
    monkeypatch.setattr(last_reading, "last", lambda target: 1 / 0)
    for _ in range(2 * MAX_COSTLY_PAGES_OF_A_USER):
        assert client.get(f"{NAMESPACE}/{objects['namespace']}/entities/").status_code == 500
        assert client.post(f"{NAMESPACE}/{objects['namespace']}/status/").status_code == 403


def test_a_test_that_is_followed_keeps_its_place_to_its_end(objects: dict[str, Any]) -> None:
    client = people.client("editor")
    answer: Any = client.post(
        f"{NAMESPACE}/{objects['namespace']}/status/", {"do": "test"}, headers={"X-Follow": "1"}
    )
    assert answer.streaming
    assert pages._taken.total() == 1
    assert b"".join(answer.streaming_content)
    answer.close()
    assert pages._taken.total() == 0


def test_places_are_counted_for_each_and_for_all() -> None:
    places = ConcurrencyLimit(2, 3)
    assert [places.take(who) for who in "aaabbc"] == [None, None, Full.OWN, None, Full.ALL, Full.ALL]
    places.give("a")
    assert [places.take(who) for who in "bba"] == [None, Full.OWN, Full.ALL]


def test_every_costly_page_exists() -> None:
    from django.urls import get_resolver

    named = get_resolver().namespace_dict["admin"][1].reverse_dict
    known = {f"admin:{name}" for name in named if isinstance(name, str)}
    assert known >= costly_pages._COSTLY | {costly_pages._SIGN_IN}


@pytest.mark.e2e
def test_sign_ins_of_one_address_leave_threads_for_the_rest(tmp_path: Any) -> None:
    with Running(tmp_path / "data", variables={"HUB_WORKERS": "1"}) as hub:
        address = f"http://127.0.0.1:{hub.port}"

        def sign_in(number: int) -> int:
            with requests.Session() as browser:
                browser.get(f"{address}/admin/login/")
                form = {"username": f"somebody-{number}", "password": "x"}
                form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
                return browser.post(f"{address}/admin/login/", data=form, timeout=60).status_code

        with ThreadPoolExecutor(30) as pool:
            statuses = Counter(pool.map(sign_in, range(30)))
        assert statuses[429] > 0
        assert statuses[200] >= MAX_SIGN_INS_OF_AN_ADDRESS
        assert set(statuses) == {200, 429}
        assert hub.get("/-/healthy")[0] == 200
