"""`tests/permissions.csv`: every address of the hub, tried by every user."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from exporters.configuration.reloader import reloader
from exporters.models import ConfigurationVersion, Membership

from . import people
from .table import Case, cases, everybody, is_for_machines, route, routes

CASES = cases()
_ABSENT = {"namespace_name": "no-such-namespace"}
SIGN_IN = "/admin/login/"
# Parts of a page that vary: the CSRF token, the handle of an entered secret, and relative times.
_DRAWN = re.compile(
    r'(?<=name="csrfmiddlewaretoken" value=")\w+|(?<=_held" value=")[\w-]+'
    r"|(?<=>)[^<>]*(?=</time>)|\d+[ \xa0](?:s|min|h|days?|seconds?|minutes?|hours?)\b"
)


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    reloader.forget()
    return people.make()


def _answer(case: Case, objects: dict[str, Any], client: Any) -> tuple[Any, bool]:
    """Send the request; return the response and whether it changed anything. Changes are rolled back."""
    url = case.url.format(**objects)
    cookies = client.cookies.copy()
    with transaction.atomic():
        before = _state()
        answer = client.generic(
            case.method, url, urlencode(case.form(objects), doseq=True), "application/x-www-form-urlencoded"
        )
        changed = _state() != before
        transaction.set_rollback(True)
    client.cookies = cookies  # a user who signed out is signed in again, like the session
    return answer, changed


def _state() -> tuple[Any, ...]:
    return (
        ConfigurationVersion.read(),
        list(Membership.objects.values_list().order_by("pk")),
        list(User.objects.values_list("pk", "is_active", "is_superuser", "password").order_by("pk")),
    )


def _absent(objects: dict[str, Any]) -> dict[str, Any]:
    return {name: _ABSENT.get(name, 987654) for name in objects}


@pytest.mark.parametrize("who", people.PEOPLE + people.TOKENS)
def test_everybody_gets_the_answers_of_the_table(objects: dict[str, Any], who: str) -> None:
    wrong = []
    may_change = who in {"editor", "owner", "admin"}
    client = people.client(who)
    for case in (case for case in CASES if case.user == who):
        answer, changed = _answer(case, objects, client)
        asked = f"{case.name}: {case.method} {case.url}"
        if answer.status_code != case.status:
            wrong.append(f"{asked} answers {answer.status_code}, not {case.status}")
        if changed and not may_change:
            wrong.append(f"{asked} changes something")
        # A 302 follows an accepted form; for users with no access, it leads to the sign-in page.
        destination = answer.headers.get("Location", "/")
        outside = destination.startswith(SIGN_IN) or case.url == "/admin/logout/"
        if answer.status_code == 302 and outside != (who in people.GROUPS["outsiders"]):
            wrong.append(f"{asked} leads to {destination}")
    assert wrong == []


@pytest.mark.parametrize("who", [*people.GROUPS["strangers"], "nobody", "other-token"])
def test_what_belongs_to_another_team_answers_as_if_it_did_not_exist(
    objects: dict[str, Any], who: str
) -> None:
    different = []
    client = people.client(who)
    foreign = [name for name in objects if not name.startswith(("other_", "newcomer", "wall"))] + [
        "wall_link"
    ]
    for case in (case for case in CASES if case.user == who):
        if not any(f"{{{name}}}" in case.url + case.data for name in foreign):
            continue
        absent = {**objects, **{name: _absent(objects)[name] for name in foreign}}
        told = [_comparable(_answer(case, each, client)[0], case, each) for each in (objects, absent)]
        if told[0] != told[1]:
            different.append(f"{case.name}: {case.method} {case.url}")
    assert different == []


@pytest.mark.parametrize("who", people.GROUPS["strangers"])
def test_no_page_of_another_team_names_anything_of_payments(objects: dict[str, Any], who: str) -> None:
    client = people.client(who)
    found = []
    # Anyone who has the address of a wall page may view it.
    for case in (case for case in CASES if case.user == who and "{wall}" not in case.url):
        answer, _ = _answer(case, objects, client)
        found += [
            f"{case.url}: {name}" for name in re.findall("payments-(?:team|bus|key)", answer.content.decode())
        ]
    assert found == []


def _comparable(answer: Any, case: Case, objects: dict[str, Any]) -> list[str]:
    """Return status, destination and body, without the values that the request itself contained."""
    texts = [str(answer.status_code), answer.headers.get("Location", ""), answer.content.decode()]
    sent = {str(objects[name]) for name in objects if f"{{{name}}}" in case.url + case.data}
    for text in sent:
        texts = [each.replace(text, "SENT") for each in texts]
    return [_DRAWN.sub("DRAWN", text) for text in texts]


def test_no_address_of_the_project_is_missing_from_the_table() -> None:
    tried = {route(case.url.format_map(_AnyValue())) for case in CASES}
    missing = set(routes()) - tried
    assert missing == set(), "add rows to tests/permissions.csv, as CONTRIBUTING.md says"


def test_every_row_says_what_everybody_gets() -> None:
    said: dict[tuple[str, str, str], set[str]] = {}
    for case in CASES:
        said.setdefault((case.name, case.method, case.url), set()).add(case.user)
    lacking = {key: sorted(set(everybody(key[2])) - users) for key, users in said.items()}
    assert {key: users for key, users in lacking.items() if users} == {}
    assert not [case for case in CASES if case.user in people.TOKENS and not is_for_machines(case.url)]


class _AnyValue(dict[str, object]):
    def __missing__(self, key: str) -> object:
        return "a" if key.endswith("name") else 1
