"""Importing hub.yaml on the web: first the difference is shown, then it is applied."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from exporters import hub_yaml
from exporters.models import Source, Team

PATH = "/admin/exporters/namespace/import/"
FILE = "teams:\n  - name: billing\n    description: Invoices\n"


def _seen(answer: Any) -> str:
    return str(answer.context["seen"])


def test_a_file_is_chosen_or_its_text_pasted(browser: Client) -> None:
    page = browser.get(PATH).content.decode()
    assert "Takes precedence over pasted text." in page
    assert "Or paste its text<" in page.replace(":<", "<")


def test_the_difference_is_shown_before_anything_changes(browser: Client) -> None:
    answer = browser.post(PATH, {"do": "plan", "text": FILE})
    page = answer.content.decode()
    assert "created" in page
    assert "description: Invoices" in page
    assert "Apply 1 change<" in page
    assert not Team.objects.exists()


def test_what_was_looked_at_is_applied(browser: Client) -> None:
    seen = _seen(browser.post(PATH, {"do": "plan", "text": FILE}))
    answer = browser.post(PATH, {"do": "apply", "text": FILE, "seen": seen}, follow=True)
    assert "Applied: 1 object changed." in answer.content.decode()
    assert Team.objects.get().source == Source.FILE
    again = browser.post(PATH, {"do": "plan", "text": FILE}).content.decode()
    assert "Nothing to change" in again


def test_what_was_not_looked_at_is_not_applied(browser: Client) -> None:
    seen = _seen(browser.post(PATH, {"do": "plan", "text": FILE}))
    other = FILE.replace("billing", "refunds")
    page = browser.post(PATH, {"do": "apply", "text": other, "seen": seen}).content.decode()
    assert "the configuration has changed in the meantime" in page
    assert not Team.objects.exists()


def test_an_uploaded_file_goes_on_as_text(browser: Client) -> None:
    upload = SimpleUploadedFile("hub.yaml", FILE.encode())
    answer = browser.post(PATH, {"do": "plan", "file": upload})
    assert "  - name: billing" in answer.content.decode()
    assert len(answer.context["plan"].changes) == 1


def test_errors_name_the_line_and_nothing_can_be_applied(browser: Client) -> None:
    page = browser.post(PATH, {"do": "plan", "text": "teams:\n  - nmae: billing\n"}).content.decode()
    assert "hub.yaml:2:" in page
    assert 'value="apply"' not in page


def test_what_is_no_text_and_what_is_missing_is_said_at_the_field(browser: Client) -> None:
    upload = SimpleUploadedFile("hub.yaml", b"\xff\xfe\x00")
    assert "not UTF-8" in browser.post(PATH, {"do": "plan", "file": upload}).content.decode()
    assert "Choose a file" in browser.post(PATH, {"do": "plan"}).content.decode()


def test_what_is_stored_can_be_downloaded(browser: Client, team: Team) -> None:
    answer = browser.get(PATH, {"export": ""})
    assert answer.content.decode() == hub_yaml.export()
    assert "payments" in answer.content.decode()


@pytest.mark.parametrize(
    "typed",
    [
        "secret: 'Endpoint=sb://a/;SharedAccessKey=planted,{}'",
        'certificate_password: "planted"',
        "token: planted",
        "{name: a, spare_secret: planted, kind: b}",
        "secret: |\n      planted",
        "secret: |\n      -----BEGIN PRIVATE KEY-----\n      planted\n      -----END PRIVATE KEY-----",
        "secret: |2-\n      planted",
        "secret: Endpoint=sb://a/;\n      SharedAccessKey=planted",
        "secret: {value: planted}",
        "secret: {env: planted+/=}",
        "token: {env: 'planted+/='}",
        "name: a\n    tenant_id: SharedAccessKey=planted",
        "secret: 'planted",  # the file is not valid YAML
    ],
)
def test_a_secret_in_the_place_of_a_reference_is_refused_and_does_not_come_back(
    browser: Client, typed: str
) -> None:
    text = f"teams: [{{name: billing}}]\ncredentials:\n  - {typed}\n"
    page = browser.post(PATH, {"do": "plan", "text": text}).content.decode()
    assert "planted" not in page
    assert "name: billing" in page
    assert 'value="apply"' not in page


def test_references_in_a_refused_file_come_back(browser: Client) -> None:
    text = "credentials:\n  - nmae: a\n    secret: {env: HERE}\n    spare_secret:\n      file: /run/there\n"
    answer = browser.post(PATH, {"do": "plan", "text": text})
    assert answer.context["form"]["text"].value() == text
