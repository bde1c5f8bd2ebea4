"""System checks report mistakes in a deployment before they cause harm."""

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage

from exporters import checks
from exporters.models import Credential

from .conftest import KEY


def ids(found: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in found]


def test_a_default_checkout_has_nothing_to_complain_about() -> None:
    assert checks.check_settings() == []


def test_generated_keys_and_a_shared_database_do_not_go_together(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HUB_KEYS_ARE_GENERATED = True
    settings.HUB_DATA_DIR = tmp_path
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    assert ids(checks.check_settings()) == ["hub.W001"]
    settings.HUB_KEYS_ARE_GENERATED = False
    assert checks.check_settings() == []


def test_a_key_file_that_others_can_read_is_named(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HUB_KEYS_ARE_GENERATED = True
    settings.HUB_DATA_DIR = tmp_path
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")
    path = tmp_path / "encryption_key"
    path.write_text("key")
    path.chmod(0o644)
    (found,) = checks.check_settings()
    assert found.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    assert checks.check_settings() == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HUB_ENCRYPTION_KEYS", ["not a key"], "hub.E001"),
        ("HUB_ENCRYPTION_KEYS", [], "hub.E001"),
        ("HUB_NAMESPACE_LABEL", "service-bus", "hub.E003"),
        ("HUB_NAMESPACE_LABEL", "team", "hub.E003"),
        ("HUB_ENDPOINT_SUFFIXES", [".net"], "hub.E004"),
        ("HUB_MAX_SCRAPES", 256, "hub.W003"),
    ],
)
def test_a_setting_that_can_not_work_is_named(settings: Any, name: str, value: Any, expected: str) -> None:
    settings.HUB_THREADS = 256
    setattr(settings, name, value)
    (found,) = checks.check_settings()
    assert found.id == expected
    assert name in found.msg
    assert "not a key" not in found.msg


def test_a_ca_file_without_a_certificate_is_named(settings: Any, tmp_path: Path) -> None:
    settings.HUB_CA_FILE = str(tmp_path / "ca.pem")
    assert ids(checks.check_settings()) == ["hub.E002"]
    (tmp_path / "ca.pem").write_text("certificate")
    (found,) = checks.check_settings()
    assert "contains no certificate" in found.msg


def test_the_simulators_ca_file_is_one(settings: Any, simulator: Any) -> None:
    settings.HUB_CA_FILE = str(simulator.ca_file)
    assert checks.check_settings() == []


def test_production_names_what_is_only_fine_on_a_laptop(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.HUB_SCRAPE_AUTH = "none"
    settings.HUB_ALLOW_LOOPBACK = True
    settings.HUB_EXTERNAL_URL = "http://hub.example.org"
    assert ids(checks.check_production()) == ["hub.E010", "hub.W010", "hub.W011", "hub.W012"]


def test_a_hub_set_up_for_production_passes(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["hub.example.org"]
    settings.HUB_SCRAPE_AUTH = "required"
    settings.HUB_ALLOW_LOOPBACK = False
    settings.HUB_EXTERNAL_URL = "https://hub.example.org"
    assert checks.check_production() == []


def test_rows_that_do_not_decrypt_are_named_without_what_they_hold(
    settings: Any, credential: Credential
) -> None:
    assert checks.check_stored_secrets(databases=["default"]) == []
    settings.HUB_ENCRYPTION_KEYS = ["A" * 43 + "="]
    (found,) = checks.check_stored_secrets(databases=["default"])
    assert found.msg == (
        f"The secret of credential “payments-manage” (row {credential.pk}) can't be decrypted with "
        f"HUB_ENCRYPTION_KEYS. Add the key that it was encrypted with, or enter the secret again."
    )
    assert KEY not in found.msg
    assert checks.check_stored_secrets() == []  # plain `manage.py check` doesn't touch the database
