"""Credentials in the admin: secrets go in and never come out, and nothing that was typed is lost."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from exporters.models import Credential
from tests.configuration.conftest import CLIENT, CLIENT_SECRET, CONNECTION_STRING, KEY, TENANT

ADD = "/admin/exporters/credential/add/"


def change(credential: Credential) -> str:
    return f"/admin/exporters/credential/{credential.pk}/change/"


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return {name: list(messages) for name, messages in response.context["adminform"].form.errors.items()}


def held(response: Any, name: str = "secret") -> str:
    """Return the handle that the page contains for a typed secret."""
    found = re.search(rf'name="{name}_held" value="([^"]+)"', response.content.decode())
    return found.group(1) if found else ""


def new(team: Any, **fields: Any) -> dict[str, Any]:
    return {
        "name": "fresh",
        "team": team.pk if team else "",
        "kind": "connection_string",
        "secret": CONNECTION_STRING,
    } | fields


@pytest.fixture
def entra_fields(team: Any) -> dict[str, Any]:
    return new(team, kind="client_secret", secret=CLIENT_SECRET, tenant_id=TENANT, client_id=CLIENT)


def test_a_connection_string_is_stored_and_never_shown_again(browser: Client, team: Any) -> None:
    assert browser.post(ADD, new(team)).status_code == 302
    credential = Credential.objects.get()
    assert credential.reveal_secret() == CONNECTION_STRING
    for address in (change(credential), "/admin/exporters/credential/", f"{change(credential)[:-7]}history/"):
        html = browser.get(address).content.decode()
        assert KEY not in html
        assert "SharedAccessKey=" not in html


def test_quotes_and_line_ends_that_were_copied_with_a_connection_string_are_left_out(
    browser: Client, team: Any
) -> None:
    copied = f'"{CONNECTION_STRING[:40]}\r\n{CONNECTION_STRING[40:]}"'
    assert browser.post(ADD, new(team, secret=copied)).status_code == 302
    assert Credential.objects.get().reveal_secret() == CONNECTION_STRING


def test_the_form_tells_which_secret_is_stored_and_since_when(
    browser: Client, credential: Credential
) -> None:
    Credential.objects.update(secret_set_at=timezone.now() - timedelta(days=3, minutes=1))
    html = browser.get(change(credential)).content.decode().replace("\xa0", " ")
    assert "Now: set, key RootManageSharedAccessKey, ends YyYQ, 3 days old. Leave empty" in html
    listed = browser.get("/admin/exporters/credential/").content.decode().replace("\xa0", " ")
    assert "set, key RootManageSharedAccessKey, ends YyYQ, 3 days old" in listed


def test_a_key_name_that_is_html_is_shown_as_text(browser: Client, team: Any) -> None:
    browser.post(ADD, new(team, secret=CONNECTION_STRING.replace("RootManage", "<script>alert(1)</script>")))
    stored = Credential.objects.get()
    for address in (change(stored), "/admin/exporters/credential/"):
        html = browser.get(address).content.decode()
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert" in html


def test_an_empty_input_keeps_what_is_stored(browser: Client, credential: Credential) -> None:
    fields = {"name": "renamed", "team": credential.team_id, "kind": "connection_string", "secret": ""}
    assert browser.post(change(credential), fields).status_code == 302
    credential.refresh_from_db()
    assert credential.name == "renamed"
    assert credential.reveal_secret() == CONNECTION_STRING


def test_a_new_secret_replaces_the_stored_one(browser: Client, credential: Credential) -> None:
    other = CONNECTION_STRING.replace(KEY, "YW5vdGhlci1wbGFudGVkLWtleQ==")
    browser.post(change(credential), new(credential.team, name=credential.name, secret=other))
    credential.refresh_from_db()
    assert credential.reveal_secret() == other


@pytest.mark.parametrize("name", ["secret", "spare_secret"])
def test_a_secret_that_replaces_a_reference_is_checked(
    browser: Client, credential: Credential, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    other = CONNECTION_STRING.replace(KEY, "YW5vdGhlci1wbGFudGVkLWtleQ==")
    monkeypatch.setenv("REFERRED", other)
    setattr(credential, name, "")
    setattr(credential, f"{name}_reference", {"env": "REFERRED"})
    credential.save()
    fields = new(credential.team, name=credential.name, secret="")
    refused = errors(browser.post(change(credential), fields | {name: "nonsense"}))
    assert "Copy all of it" in refused[name][0]
    assert browser.post(change(credential), fields | {name: other[:-4] + "YQ=="}).status_code == 302
    credential.refresh_from_db()
    assert getattr(credential, f"{name}_reference") == {}


@pytest.mark.parametrize("name", ["secret", "spare_secret"])
def test_an_empty_input_keeps_a_reference(
    browser: Client, credential: Credential, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("REFERRED", CONNECTION_STRING.replace(KEY, "YW5vdGhlci1wbGFudGVkLWtleQ=="))
    setattr(credential, name, "")
    setattr(credential, f"{name}_reference", {"env": "REFERRED"})
    credential.save()
    fields = new(credential.team, name="renamed", secret="")
    assert browser.post(change(credential), fields).status_code == 302
    credential.refresh_from_db()
    assert getattr(credential, f"{name}_reference") == {"env": "REFERRED"}


class TestAFormThatComesBackWithErrors:
    def test_it_holds_no_secret_and_loses_none(self, browser: Client, team: Any) -> None:
        first = browser.post(ADD, new(team, name="Not A Slug"))
        assert list(errors(first)) == ["name"]
        assert KEY not in first.content.decode()
        assert "What you entered is kept." in first.content.decode()
        second = browser.post(ADD, new(team, name="still wrong", secret="", secret_held=held(first)))
        third = browser.post(ADD, new(team, secret="", secret_held=held(second)))
        assert third.status_code == 302
        assert Credential.objects.get().reveal_secret() == CONNECTION_STRING

    def test_the_session_has_it_encrypted_and_only_until_it_is_stored(
        self, browser: Client, team: Any
    ) -> None:
        first = browser.post(ADD, new(team, name="Not A Slug"))
        session = Session.objects.get().get_decoded()
        assert len(session["held_secrets"]) == 1
        assert KEY not in repr(session)
        browser.post(ADD, new(team, secret="", secret_held=held(first)))
        assert Session.objects.get().get_decoded()["held_secrets"] == {}

    def test_a_handle_is_worth_nothing_to_another_user(
        self, browser: Client, team: Any, django_user_model: Any
    ) -> None:
        handle = held(browser.post(ADD, new(team, name="Not A Slug")))
        stranger = Client()
        stranger.force_login(django_user_model.objects.create_superuser("other"))
        response = stranger.post(ADD, new(team, secret="", secret_held=handle))
        assert errors(response) == {
            "secret": ["Required for this kind: Connection string (shared access key or signature)."]
        }

    def test_a_handle_is_worth_nothing_in_another_field(self, browser: Client, team: Any) -> None:
        handle = held(browser.post(ADD, new(team, name="Not A Slug")))
        response = browser.post(ADD, new(team, secret="", certificate_password_held=handle))
        assert "secret" in errors(response)

    def test_what_was_held_for_too_long_is_gone(self, browser: Client, team: Any) -> None:
        handle = held(browser.post(ADD, new(team, name="Not A Slug")))
        session = browser.session
        session["held_secrets"] = {handle: [session["held_secrets"][handle][0], 0.0]}
        session.save()
        assert "secret" in errors(browser.post(ADD, new(team, secret="", secret_held=handle)))

    def test_typing_again_replaces_what_was_held(self, browser: Client, team: Any) -> None:
        first = browser.post(ADD, new(team, secret="Endpoint=sb://payments-prod.servicebus.windows.net/"))
        assert "secret" in errors(first)
        browser.post(ADD, new(team, secret_held=held(first)))
        assert Credential.objects.get().reveal_secret() == CONNECTION_STRING

    def test_a_change_keeps_the_newly_typed_secret_and_not_the_stored_one(
        self, browser: Client, credential: Credential
    ) -> None:
        other = CONNECTION_STRING.replace(KEY, "YW5vdGhlci1wbGFudGVkLWtleQ==")
        fields = new(credential.team, name="Not A Slug", secret=other)
        first = browser.post(change(credential), fields)
        browser.post(change(credential), fields | {"name": "fine", "secret": "", "secret_held": held(first)})
        credential.refresh_from_db()
        assert credential.reveal_secret() == other

    def test_the_session_does_not_grow_without_end(self, browser: Client, team: Any) -> None:
        for _ in range(12):
            browser.post(ADD, new(team, name="Not A Slug"))
        assert len(browser.session["held_secrets"]) == 8


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (CONNECTION_STRING.rpartition(";")[0], "has no SharedAccessKey="),
        (CONNECTION_STRING[:60], "is incomplete or has a part without “=”"),
        (CONNECTION_STRING.replace("windows.net", "example.org"), "is not a Service Bus endpoint"),
        (
            CONNECTION_STRING.replace("payments-prod.servicebus.windows.net", "127.0.0.1"),
            "IP addresses are not allowed",
        ),
        ("RootManageSharedAccessKey", "is incomplete or has a part without “=”"),
        ("", "Required for this kind"),
    ],
)
def test_a_connection_string_that_can_not_be_used_is_an_error_at_its_input(
    browser: Client, team: Any, secret: str, message: str
) -> None:
    found = errors(browser.post(ADD, new(team, secret=secret)))
    assert list(found) == ["secret"]
    assert message in found["secret"][0]
    assert KEY not in found["secret"][0]


def test_a_client_secret_needs_its_application(browser: Client, entra_fields: dict[str, Any]) -> None:
    found = errors(browser.post(ADD, entra_fields | {"tenant_id": "", "client_id": ""}))
    assert set(found) == {"tenant_id", "client_id"}
    assert browser.post(ADD, entra_fields).status_code == 302
    assert Credential.objects.get().reveal_secret() == CLIENT_SECRET


def test_the_id_of_a_client_secret_is_recognised(browser: Client, entra_fields: dict[str, Any]) -> None:
    found = errors(browser.post(ADD, entra_fields | {"secret": TENANT}))
    assert "This is the ID of a client secret, not the secret itself." in found["secret"][0]


def test_another_kind_needs_another_secret(browser: Client, credential: Credential) -> None:
    fields = new(credential.team, kind="client_secret", secret="", tenant_id=TENANT, client_id=CLIENT)
    found = errors(browser.post(change(credential), fields))
    assert found["secret"][0].startswith("Enter a secret for the new kind")


def test_a_kind_without_secret_drops_the_stored_one(browser: Client, credential: Credential) -> None:
    assert browser.post(change(credential), new(None, kind="managed_identity", secret="")).status_code == 302
    credential.refresh_from_db()
    assert (credential.secret, credential.secret_fingerprint, credential.secret_set_at) == ("", "", None)


def test_a_certificate_is_stored_with_its_password_and_says_when_it_expires(
    browser: Client, entra_fields: dict[str, Any], certificate: Any
) -> None:
    fields = entra_fields | {"kind": "client_certificate", "secret": certificate("open sesame")}
    assert "enter its password" in errors(browser.post(ADD, fields))["certificate_password"][0]
    response = browser.post(ADD, fields | {"certificate_password": "wrong"})
    assert errors(response)["certificate_password"] == ["The password doesn't decrypt the private key."]
    assert "BEGIN" not in response.content.decode().replace("starting with", "")
    again = fields | {"secret": "", "secret_held": held(response), "certificate_password": "open sesame"}
    assert browser.post(ADD, again).status_code == 302
    stored = Credential.objects.get()
    assert f"{stored.expires_at:%Y-%m-%d}" == "2026-04-01"
    html = browser.get(change(stored)).content.decode()
    assert "certificate with thumbprint" in html
    assert "open sesame" not in html


def test_a_certificate_entered_anew_takes_no_old_password(
    browser: Client, entra_fields: dict[str, Any], certificate: Any
) -> None:
    fields = entra_fields | {"kind": "client_certificate"}
    browser.post(ADD, fields | {"secret": certificate("open sesame"), "certificate_password": "open sesame"})
    stored = Credential.objects.get()
    assert browser.post(change(stored), fields | {"secret": certificate()}).status_code == 302
    stored.refresh_from_db()
    assert stored.reveal_certificate_password() == ""
    assert stored.certificate_password_fingerprint == ""


def test_a_secret_that_no_longer_decrypts_is_named_and_can_be_entered_again(
    browser: Client, credential: Credential, settings: Any
) -> None:
    settings.HUB_ENCRYPTION_KEYS = ["A" * 43 + "="]
    assert "can&#x27;t be decrypted" in browser.get("/admin/exporters/credential/").content.decode()
    assert "can&#x27;t be decrypted" in browser.get(change(credential)).content.decode()
    fields = new(credential.team, name=credential.name)
    assert "secret" in errors(browser.post(change(credential), fields | {"secret": ""}))
    assert browser.post(change(credential), fields).status_code == 302
    credential.refresh_from_db()
    assert credential.reveal_secret() == CONNECTION_STRING


def test_an_unsaved_secret_reaches_no_message_or_log_entry(browser: Client, team: Any, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    browser.post(ADD, new(team))
    browser.post(ADD, new(team))
    assert KEY not in caplog.text
    assert KEY not in browser.get("/admin/").content.decode()
