"""Wherever access is granted, an empty, missing or unknown value grants the least."""

import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import models
from django.test import Client, RequestFactory

from exporters.access import rate_limit, roles
from exporters.configuration import derivation, loading
from exporters.configuration.targets import Configuration, Grant
from exporters.credentials import endpoints
from exporters.models import (
    Credential,
    IdentityGrant,
    LabelRule,
    Membership,
    Namespace,
    ScrapeToken,
    Team,
    WallLink,
)
from exporters.servicebus.connection import EndpointNotAllowedError, EndpointPolicy, parse_host
from hub import environment

from . import people

HOST = "payments.servicebus.windows.net"


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return people.make()


def _grant(**fields: Any) -> Grant:
    known: dict[str, Any] = {"scope": "", "team": None, "namespaces": frozenset()}
    return Grant(token_id=1, name="x", token_hash="", expires_at=None, **(known | fields))


def _opens(configuration: Configuration, **fields: Any) -> bool:
    return any(_grant(**fields).opens(target) for target in configuration.targets.values())


def _sees(configuration: Configuration, **fields: Any) -> bool:
    return any(_grant(**fields).sees_team(team) for team in configuration.teams)


def _uses(
    objects: dict[str, Any], team: int | None, hosts: list[str] | str, granted: list[str] | str | None = None
) -> bool:
    """Return whether a namespace of payments may use a credential that allows or grants these hosts."""
    credential = Credential.objects.create(
        name="entra", team_id=team, kind=Credential.Kind.CLIENT_SECRET, secret="s", hosts=hosts
    )
    if granted is not None:
        IdentityGrant.objects.create(credential=credential, team_id=objects["team"], hosts=granted)
    namespace = Namespace.objects.get(pk=objects["namespace"])
    namespace.credential = credential
    return derivation.target(namespace).credential is not None


def _wall(scope: str, team: int | None) -> bool:
    return WallLink(name="x", scope=scope, team_id=team).targets().exists()


def _role(role: str) -> bool:
    Membership.objects.filter(user__username="viewer").update(role=role)
    return roles.teams(User.objects.get(username="viewer")).exists()


def _connects(*suffixes: str) -> bool:
    try:
        EndpointPolicy(suffixes=suffixes).check_host(parse_host("anything.example"))
    except EndpointNotAllowedError:
        return False
    return True


def _believes_forwarded(settings: Any, proxies: list[Any]) -> bool:
    settings.HUB_TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "203.0.113.9"}, REMOTE_ADDR="10.0.0.1")
    return rate_limit.client_address(request) == "203.0.113.9"


def _scrapes(header: dict[str, str]) -> bool:
    return Client(headers=header).get("/metrics/payments-bus").status_code == 200


def _page(settings: Any, hosts: list[str]) -> bool:
    settings.ALLOWED_HOSTS = hosts
    return Client(headers={"Host": "evil.example"}).get("/admin/login/").status_code == 200


# Every value that grants access: with the value, something opens (otherwise the row would prove nothing); with each of
# the empty variants, nothing opens.
ROWS: dict[str, tuple[Callable[[dict[str, Any], Any], bool], list[Callable[[dict[str, Any], Any], bool]]]] = {
    "a token's scope and team": (
        lambda o, s: _opens(loading.load(), scope="team", team="payments-team"),
        [
            lambda o, s: _opens(loading.load()),
            lambda o, s: _opens(loading.load(), scope="team"),
            lambda o, s: _opens(loading.load(), scope="team", team=""),
            lambda o, s: _opens(loading.load(), team="payments-team"),
        ],
    ),
    "a token's list": (
        lambda o, s: _opens(loading.load(), scope="listed", namespaces=frozenset({"payments-bus"})),
        [
            lambda o, s: _opens(loading.load(), scope="listed"),
            lambda o, s: _opens(loading.load(), scope="listed", team="payments-team"),
            lambda o, s: _opens(loading.load(), namespaces=frozenset({"payments-bus"})),
            lambda o, s: _opens(
                loading.load(), scope="listed", team="orders-team", namespaces=frozenset({"payments-bus"})
            ),
        ],
    ),
    "what a token sees of the hub's metrics": (
        lambda o, s: _sees(loading.load(), scope="all_teams"),
        [
            lambda o, s: _sees(loading.load()),
            lambda o, s: _sees(loading.load(), scope="listed"),
            lambda o, s: _sees(loading.load(), scope="team"),
            lambda o, s: _sees(loading.load(), scope="team", team=""),
            lambda o, s: _sees(loading.load(), team="payments-team"),
            lambda o, s: _sees(loading.load(), scope="unknown", team="payments-team"),
        ],
    ),
    "a wall link's scope and team": (
        lambda o, s: _wall("team", o["team"]),
        [
            lambda o, s: _wall("", None),
            lambda o, s: _wall("team", None),
            lambda o, s: _wall("listed", None),
            lambda o, s: _wall("", o["team"]),
            lambda o, s: _wall("listed", o["team"]),
            lambda o, s: _wall("unknown", o["team"]),
        ],
    ),
    "the hosts of a team's credential": (
        lambda o, s: _uses(o, o["team"], [HOST]),
        [
            lambda o, s: _uses(o, o["team"], []),
            lambda o, s: _uses(o, o["team"], [""]),
            lambda o, s: _uses(o, o["team"], f"other-{HOST}"),
            lambda o, s: _uses(o, o["other_team"], [HOST]),
        ],
    ),
    "a grant of the platform's credential": (
        lambda o, s: _uses(o, None, [], [HOST]),
        [
            lambda o, s: _uses(o, None, []),
            lambda o, s: _uses(o, None, [], []),
            lambda o, s: _uses(o, None, [], [""]),
            lambda o, s: _uses(o, None, [], f"other-{HOST}"),
            lambda o, s: _uses(o, None, [HOST]),
        ],
    ),
    "a role": (
        lambda o, s: _role("viewer"),
        [lambda o, s: _role(""), lambda o, s: _role("unknown")],
    ),
    "HUB_ENDPOINT_SUFFIXES": (
        lambda o, s: _connects("example"),
        [lambda o, s: _connects(), lambda o, s: _connects(""), lambda o, s: _connects(".")],
    ),
    "HUB_TRUSTED_PROXIES": (
        lambda o, s: _believes_forwarded(s, [ip_network("10.0.0.1")]),
        [lambda o, s: _believes_forwarded(s, [])],
    ),
    "HUB_ALLOWED_HOSTS": (
        lambda o, s: _page(s, ["evil.example"]),
        [lambda o, s: _page(s, []), lambda o, s: _page(s, [""])],
    ),
    "a token that is shown": (
        lambda o, s: _scrapes({"Authorization": "Bearer secret-of-token"}),
        [
            lambda o, s: _scrapes({}),
            lambda o, s: _scrapes({"Authorization": ""}),
            lambda o, s: _scrapes({"Authorization": "Bearer "}),
            lambda o, s: _scrapes({"Authorization": "Basic Og=="}),
        ],
    ),
}
CASES = [
    pytest.param(row, number, id=f"{name}, {'given' if number is None else number}")
    for name, row in ROWS.items()
    for number in (None, *range(len(row[1])))
]


@pytest.mark.parametrize(("row", "number"), CASES)
def test_an_empty_value_grants_nothing(
    objects: dict[str, Any], settings: Any, row: Any, number: int | None
) -> None:
    given, empty = row
    if number is None:
        assert given(objects, settings)
    else:
        assert not empty[number](objects, settings)


@pytest.mark.parametrize(
    ("name", "default"),
    [("HUB_TRUSTED_PROXIES", ()), ("HUB_ENDPOINT_SUFFIXES", ()), ("HUB_ALLOWED_HOSTS", ("localhost",))],
)
@pytest.mark.parametrize("value", ["", None, ","])
def test_an_empty_setting_is_a_list_of_nothing_or_the_default(
    monkeypatch: pytest.MonkeyPatch, name: str, default: tuple[str, ...], value: str | None
) -> None:
    monkeypatch.delenv(name, raising=False)
    if value is not None:
        monkeypatch.setenv(name, value)
    assert set(environment.words(name, default)) <= set(default)


@pytest.mark.parametrize(("name", "safe"), [("HUB_SCRAPE_AUTH", "required")])
def test_an_empty_choice_is_the_safe_one(monkeypatch: pytest.MonkeyPatch, name: str, safe: str) -> None:
    monkeypatch.setenv(name, "")
    assert environment.choice(name, safe, ["required", "none"]) == safe


def test_no_team_of_what_grants_access_can_go_missing() -> None:
    """A reference set to NULL when its object is deleted would turn “one team's” into “nobody's” or “all teams'”."""
    found = {
        f"{model.__name__}.{field.name}"
        for model in roles.RULES
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey)
        and field.remote_field.on_delete not in (models.CASCADE, models.RESTRICT, models.PROTECT)
    }
    assert found == set()


def test_a_rule_goes_with_its_namespace_or_team_and_never_becomes_one_for_all(
    objects: dict[str, Any],
) -> None:
    LabelRule.objects.create(namespace_id=objects["namespace"], target_label="its")
    Namespace.objects.filter(pk=objects["namespace"]).delete()
    assert not LabelRule.objects.filter(target_label="its").exists()
    Team.objects.filter(pk=objects["team"]).delete()
    assert not LabelRule.objects.filter(team=None).exists()


def test_only_an_expiry_that_is_left_empty_by_its_maker_never_ends(objects: dict[str, Any]) -> None:
    """A token's form offers no expiry as a choice; only that form and hub.yaml clear it. A wall link needs one."""
    assert WallLink(name="x", scope="team", team_id=objects["team"]).expires_at is not None
    assert ScrapeToken(name="x").expires_at is None
    token = ScrapeToken.objects.get(name="expired-token")
    grant = replace(_grant(scope="all_teams"), token_hash=token.token_hash, expires_at=token.expires_at)
    configuration = replace(loading.load(), grants={token.token_hash: grant})
    assert configuration.grant("secret-of-expired-token") is None


def test_hosts_are_stored_in_the_form_in_which_they_are_compared() -> None:
    assert endpoints.check_hosts([f"sb://{HOST.upper()}./", HOST]) == [HOST]


def test_no_field_tells_that_empty_means_all() -> None:
    """Help texts explain empty fields. An empty filter of reads may mean all; an empty grant of access may not."""
    means_all = re.compile(r"(?:Empty|None chosen|Without)[^.]*\ball\b", re.IGNORECASE)
    found = {
        f"{model.__name__}.{field.name}"
        for model in roles.RULES
        for field in model._meta.get_fields()
        if means_all.search(str(getattr(field, "help_text", "")))
    }
    assert found == {"Namespace.include"}


def test_where_a_team_may_be_missing_something_else_says_what_is_opened() -> None:
    found = {
        model.__name__
        for model in roles.RULES
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey) and field.related_model is Team and field.null
    }
    # A credential needs a grant, tokens and links have a scope, and a label rule opens nothing.
    assert found == {"Credential", "ScrapeToken", "WallLink", "LabelRule"}
