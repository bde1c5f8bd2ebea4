"""Secrets in hub.yaml: references, and secrets that the hub has stored."""

from pathlib import Path
from typing import Any

import pytest

from exporters.admin.fields import SecretInput
from exporters.credentials import references
from exporters.models import Credential, ScrapeToken

from .conftest import CONNECTION_STRING, KEY, apply, errors

pytestmark = pytest.mark.django_db


STORED = """\
teams: [{name: payments}]
credentials:
  - {name: payments-manage, team: payments, secret: {stored: 12345678}}
"""


def test_stored_keeps_the_secret_that_was_entered_in_the_admin(credential: Credential) -> None:
    plan = apply(STORED)
    credential.refresh_from_db()
    assert credential.reveal_secret() == CONNECTION_STRING
    assert [problem.message for problem in plan.warnings] == [
        "A different secret was stored in the meantime and is kept."
    ]


def test_stored_is_refused_where_nothing_is_stored() -> None:
    assert errors(STORED) == [
        "hub.yaml:3:53: credentials[0].secret: This hub has no stored secret for this credential. Use a reference, "
        "{env: VARIABLE} or {file: /path}, or create the credential in the admin."
    ]


def test_a_reference_that_points_nowhere_is_an_error_at_its_place(
    whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAYMENTS_CONNECTION_STRING")
    assert errors(whole) == [
        "hub.yaml:8:13: credentials[0].secret: The environment variable PAYMENTS_CONNECTION_STRING is not set. Set "
        "it for the hub."
    ]


@pytest.mark.parametrize(
    "text",
    [
        "credentials: [{name: a, secret: {env: '%s'}}]",
        "credentials: [{name: a, secret: {env: 0123456789abcdef}}]",
        "credentials: [{name: a, secret: {env: abcdef0123456789}}]",
        "tokens: [{name: a, scope: listed, token: {env: abcdef0123456789}}]",
        "credentials: [{name: a, secret: {file: '%s'}}]",
        "credentials: [{name: a, kind: '%s'}]",
        "credentials: [{name: a, '%s': x}]",
        "teams: [{name: t}]\nnamespaces: [{name: a, team: t, credential: '%s'}]",
        "tokens: [{name: a, scope: listed, namespaces: ['%s'], token: {env: PATH}}]",
        "teams: [{name: sbh_abcdef0123456789abcdef0123456789}]",
    ],
)
def test_a_secret_in_a_wrong_place_is_not_repeated(text: str) -> None:
    said = "\n".join(errors(text % CONNECTION_STRING if "%s" in text else text))
    assert said
    assert KEY not in said
    assert "abcdef0123456789" not in said


def test_a_reference_replaces_what_was_stored(
    credential: Credential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYMENTS", CONNECTION_STRING)
    (_, change) = apply(STORED.replace("stored: 12345678", "env: PAYMENTS")).changes
    assert [field.name for field in change.fields] == ["secret", "source"]
    row = Credential.objects.get()
    assert row.secret == ""
    assert row.reveal_secret() == CONNECTION_STRING


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f' "{CONNECTION_STRING}" \r\n', CONNECTION_STRING),
        (CONNECTION_STRING.replace(";", ";\n "), CONNECTION_STRING),
        ("a~client.Secret \n", "a~client.Secret"),
        ('"quoted"\n', '"quoted"'),
        ("-----BEGIN CERTIFICATE-----\nMII=\n", "-----BEGIN CERTIFICATE-----\nMII="),
    ],
)
def test_a_referenced_secret_is_tidied_like_an_entered_one(tmp_path: Path, text: str, secret: str) -> None:
    (tmp_path / "secret").write_text(text)
    assert references.resolve({"file": str(tmp_path / "secret")}) == secret
    assert SecretInput().value_from_datadict({"secret": text}, {}, "secret").text == secret


def test_the_hubs_own_secrets_are_no_credentials() -> None:
    text = STORED.replace("stored: 12345678", "env: HUB_SECRET_KEY")
    assert errors(text) == [
        "hub.yaml:3:53: credentials[0].secret: HUB_SECRET_KEY is one of the hub's own secrets and can't be used here."
    ]


@pytest.mark.parametrize("place", ["named", "linked", "made", "environment"])
def test_the_files_of_the_hubs_own_secrets_are_no_credentials(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    settings.HUB_DATA_DIR = tmp_path
    for name in ("keys", "secret_key"):
        (tmp_path / name).write_text(CONNECTION_STRING)
    (tmp_path / "link").symlink_to(tmp_path / "keys")
    monkeypatch.setenv("HUB_ENCRYPTION_KEYS_FILE", str(tmp_path / "keys"))
    path = {
        "named": tmp_path / "keys",
        "linked": tmp_path / "link",
        "made": tmp_path / "secret_key",
        "environment": "/proc/self/environ",
    }[place]
    (message,) = errors(STORED.replace("stored: 12345678", f"file: {path}"))
    assert "belongs to the hub and can't be used as a secret." in message


def test_a_secret_written_into_the_file_is_refused_and_not_repeated() -> None:
    (message,) = errors(STORED.replace("{stored: 12345678}", f'"{CONNECTION_STRING}"'))
    assert "This file can't contain secrets" in message
    assert KEY not in message


def test_one_token_for_two_teams_is_refused(whole: str) -> None:
    text = whole + "  - {name: again, team: payments, scope: team, token: {env: PAYMENTS_SCRAPE_TOKEN}}\n"
    (message,) = errors(text)
    assert "This token is already in use as “prometheus” of team “payments”." in message


@pytest.mark.parametrize("value", ["short", "with a space in it", "with-ümlaut-in-it"])
def test_a_token_that_no_header_could_carry_or_that_is_too_short_is_refused(
    whole: str, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("PAYMENTS_SCRAPE_TOKEN", value)
    (message,) = errors(whole)
    assert "A token needs at least 8 characters" in message
    assert value not in message


def test_a_revoked_token_stays_revoked(whole: str) -> None:
    apply(whole)
    ScrapeToken.objects.get(name="prometheus").revoke("lost")
    plan = apply(whole)
    assert plan.changes == ()
    assert "can't be restored" in plan.warnings[0].message
    assert ScrapeToken.objects.get(name="prometheus").revoked_at is not None


def test_a_variable_that_is_not_utf8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN_SECRET", "abc\udcff")  # as Python shows a byte that is not UTF-8
    with pytest.raises(references.UnresolvedReferenceError, match="BROKEN_SECRET is not UTF-8") as caught:
        references.resolve({"env": "BROKEN_SECRET"})
    assert "abc" not in str(caught.value)
