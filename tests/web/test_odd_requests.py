"""Whatever an address, a query string or a form contains: 404, 400, a form with errors or an empty list, never 500.

The addresses come from the URL patterns, the parameters from the models, filters and forms of the admin's screens.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from exporters.admin.base import HubAdmin
from exporters.configuration.reloader import reloader
from tests.access import people

# Used instead of a number or a name in an address, percent-encoded.
IDS = (
    "%C2%B2",
    "%D9%A3",
    "0",
    "-1",
    "1_000",
    "1.5",
    "9" * 19,
    "9" * 30,
    "9" * 4400,
    "%00",
    "_00",
    "%FF%FE",
    "%ED%A0%80",
)
IDS = (
    *IDS,
    "a" * 3000,
    "%2e%2e",
    "%0A",
    "%F0%9F%9A%8C",
    "x'y",
    "%%%",
    "%2",
    "%EF%BF%BF",
    "*",
    "payments%00bus",
)
# Used instead of a value.
VALUES = (
    "",
    "x",
    "\0",
    "²",
    "9" * 30,
    "9" * 5000,
    "-1",
    "1.5",
    "nan",
    "0000-00-00",
    "9999-12-31T23:59:59",
    "(",
    "[",
)
VALUES = (*VALUES, "1,2", "\ud800", "\U0010ffff", "a" * 3000, "%", "true", "None", "{}", "\n\r", "=1", "1 1")
# Parameters of Django's own pages and of the hub's.
PARAMETERS = (
    *(
        "p",
        "o",
        "q",
        "all",
        "e",
        "_popup",
        "_to_field",
        "_changelist_filters",
        "_facets",
        "next",
        "page",
        "state",
    ),
    *(
        "team",
        "kind",
        "user",
        "scope",
        "sort",
        "raw",
        "export",
        "term",
        "app_label",
        "model_name",
        "field_name",
    ),
    *("expires_at", "created_at__year", "id__range", "name__regex", "name__iregex", "pk", "pk__in", "search"),
)
LOOKUPS = ("regex", "iregex", "range", "in", "year", "isnull", "contains", "date", "gt")


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    reloader.forget()
    return people.make()


def _client(who: str) -> Client:
    client = people.client(who)
    client.raise_request_exception = False
    return client


def _patterns() -> Iterator[tuple[str, Any]]:
    """Yield the pattern and the view of every address in the project."""

    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, Any]]:
        for pattern in patterns:
            here = prefix + str(pattern.pattern).removeprefix("^")
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, here)
            else:
                yield here, pattern.callback

    yield from walk(get_resolver().url_patterns, "/")


ROUTES = sorted({route for route, _ in _patterns() if "(?P" not in route})
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")


def _address(route: str, objects: dict[str, Any]) -> str:
    """Return the route's address with an existing object."""
    kind = next(
        (each for each in ("namespace", "credential", "team", "user") if f"/{each}/" in route), "token"
    )
    known = {"object_id": objects[kind], "id": objects["user"], "name": objects["namespace_name"]}
    return _ARGUMENT.sub(lambda match: str(known.get(match[1], objects["wall"])), route)


def _failed(client: Client, method: str, address: str, form: dict[str, Any] | None = None) -> list[str]:
    """Send a request, roll back its changes, and return a description of it if the response is a server error."""
    cookies = client.cookies.copy()
    with transaction.atomic():
        answer = client.get(address) if method == "GET" else client.post(address, form)
        if hasattr(answer, "streaming_content"):
            b"".join(answer.streaming_content)
        transaction.set_rollback(True)
    client.cookies = cookies
    return (
        [f"{answer.status_code} {method} {address[:150]} {form}"[:400]] if answer.status_code >= 500 else []
    )


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/admin/exporters/namespace/%C2%B2/status/", 404),
        ("/admin/exporters/namespace/?id__range=1", 400),
        ("/admin/exporters/scrapetoken/add/?expires_at=x", 200),
        ("/admin/exporters/namespace/?name__regex=(", 400),
        ("/admin/exporters/namespace/?name__regex=" + ".*" * 100 + "!", 400),
        ("/admin/?q=%00", 400),
        ("/admin/exporters/namespace/?created_at__year=0", 400),
        ("/admin/exporters/namespace/?o=" + "1." * 2000, 400),
        ("/admin/exporters/namespace/?q=" + "a+" * 1000, 200),
        (
            "/admin/autocomplete/?app_label=exporters&model_name=namespace&field_name=team&term="
            + "a+" * 1000,
            400,
        ),
    ],
)
def test_what_is_odd_is_not_found_refused_or_ignored(
    objects: dict[str, Any], address: str, status: int
) -> None:
    who = "editor" if "/add/" in address else "viewer"
    assert _client(who).get(address).status_code == status


@pytest.mark.parametrize("who", ["anonymous", "viewer", "admin"])
def test_an_odd_identifier_in_any_address_is_no_fault_of_the_hub(objects: dict[str, Any], who: str) -> None:
    client = _client(who)
    failed = []
    for route in ROUTES:
        if not _ARGUMENT.search(route):
            continue
        for odd in IDS:
            address = _ARGUMENT.sub(odd.replace("\\", ""), route)
            failed += _failed(client, "GET", address)
            if who == "admin":
                failed += _failed(client, "POST", address, {"do": "x"})
    assert failed == []


@pytest.mark.parametrize("who", ["viewer", "admin"])
def test_an_odd_query_string_at_any_address_is_no_fault_of_the_hub(objects: dict[str, Any], who: str) -> None:
    client = _client(who)
    failed = []
    for number, route in enumerate(ROUTES):
        address = _address(route, objects)
        # Every address with every name, and every name with every value; the roles and the values alternate.
        for place, name in enumerate(PARAMETERS):
            if (number + place) % 3 == (who == "viewer"):
                value = VALUES[(number * 7 + place) % len(VALUES)]
                failed += _failed(client, "GET", f"{address}?{name}={_quoted(value)}")
    assert failed == []


def _quoted(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"))


def _screens() -> list[Any]:
    return list(admin.site._registry.values())


@pytest.mark.parametrize("who", ["viewer", "admin"])
def test_no_parameter_of_a_list_but_its_filters_reaches_the_database(
    objects: dict[str, Any], who: str
) -> None:
    client = _client(who)
    failed = []
    for screen in _screens():
        address = f"/admin/{screen.opts.app_label}/{screen.opts.model_name}/"
        if client.get(address).status_code == 403:
            continue
        for number, field in enumerate(screen.model._meta.get_fields()):
            for lookup in LOOKUPS[number % 3 :: 3]:
                answer = client.get(address, {f"{field.name}__{lookup}": "1"})
                declared = lookup == "isnull" and answer.status_code in {200, 302}
                if answer.status_code != 400 and not (declared and field.name in _filtered(screen)):
                    failed.append(f"{answer.status_code} {address}?{field.name}__{lookup}=1")
    assert failed == []


def _filtered(screen: Any) -> set[str]:
    declared = [each if isinstance(each, str | tuple) else "" for each in screen.list_filter]
    return {(each if isinstance(each, str) else each[0]).split("__")[0] for each in declared}


def test_the_names_that_a_list_takes_are_those_of_its_filters(objects: dict[str, Any]) -> None:
    for screen in _screens():
        assert isinstance(screen, HubAdmin)
        request = RequestFactory().get("/")
        request.user = people.User.objects.get(username="admin")
        listed: ChangeList = screen.get_changelist_instance(request)
        sent = {name for spec in listed.filter_specs for name in spec.expected_parameters()}
        assert all(screen.lookup_allowed(name, "1", request) for name in sent), sent


@pytest.mark.parametrize("who", ["viewer", "admin"])
def test_odd_values_in_the_form_of_any_page_are_no_fault_of_the_hub(
    objects: dict[str, Any], who: str
) -> None:
    client = _client(who)
    failed = []
    for number, route in enumerate(ROUTES):
        if "logout" in route:
            continue
        address = _address(route, objects)
        answer = client.get(address)
        names = {"do", "action", "_selected_action", "rows", "text", "pasted", "q", "username", "index"}
        names |= set(re.findall(r'name="([^"]+)"', answer.content.decode(errors="replace")))
        names -= {"csrfmiddlewaretoken"}
        for turn in range(1 + (who == "admin")):
            form = {
                name: VALUES[(number + place * 5 + turn * 7) % len(VALUES)]
                for place, name in enumerate(sorted(names))
            }
            clean = {name: value.replace("\0", "").replace("\ud800", "") for name, value in form.items()}
            failed += _failed(client, "POST", address, clean)
        failed += _failed(client, "POST", address, dict.fromkeys(names, "a\0b"))
        for name in sorted(names)[number % 8 :: 8]:
            failed += _failed(client, "POST", address, {"do": "save", name: "9" * 30, "action": "revoke"})
    assert failed == []


@pytest.mark.parametrize(
    "cookies",
    ["sessionid=%00; csrftoken=%ff", "sessionid=" + "a" * 4000, "=;;;=", "messages=x:y:z; sessionid=\xff"],
)
def test_odd_cookies_and_headers_are_no_fault_of_the_hub(objects: dict[str, Any], cookies: str) -> None:
    client = Client(raise_request_exception=False)
    headers = {"Range": "bytes=9-1,x", "Accept-Language": "*" * 500, "Referer": "http://[", "Origin": "null:"}
    for route in ROUTES:
        address = _address(route, objects)
        for method in ("get", "post", "options", "put", "delete", "trace", "head"):
            answer = getattr(client, method)(address, headers=headers, HTTP_COOKIE=cookies)
            assert answer.status_code < 500, f"{method} {address}"


def test_a_body_that_is_no_form_is_no_fault_of_the_hub(objects: dict[str, Any]) -> None:
    client = _client("admin")
    bodies = [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a'),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"),
        ("multipart/form-data; boundary=\xff", b"x"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"+AAA-=1"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"a=1"),
        ("application/x-www-form-urlencoded", urlencode({f"a{n}": 1 for n in range(1500)}).encode()),
        ("application/json", b"[" * 10_000),
    ]
    for route in ROUTES:
        if "logout" in route:
            continue
        address = _address(route, objects)
        for content_type, body in bodies:
            with transaction.atomic():
                answer = client.generic("POST", address, body, content_type)
                transaction.set_rollback(True)
            assert answer.status_code < 500, f"{address} {content_type}"
