import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from hub import environment


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("true", True), ("Off", False), ("no", False)])
def test_booleans_are_spelt_in_the_usual_ways(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    monkeypatch.setenv("HUB_X", value)
    assert environment.boolean("HUB_X", not expected) is expected


@pytest.mark.parametrize(
    ("reader", "value", "takes"),
    [
        (lambda: environment.boolean("HUB_X", False), "maybe", "1 or 0"),
        (
            lambda: environment.integer("HUB_X", 1, minimum=1, maximum=65535),
            "70000",
            "a whole number from 1 to 65535",
        ),
        (lambda: environment.integer("HUB_X", 1, minimum=1, maximum=65535), "many", "a whole number"),
        (
            lambda: environment.seconds("HUB_X", 1, minimum=0, maximum=5),
            "nan",
            "a number of seconds from 0 to 5",
        ),
        (lambda: environment.choice("HUB_X", "a", ["a", "b"]), "c", "one of a, b"),
        (lambda: environment.external_url("HUB_X", ""), "hub.example.org", "an address like https://"),
        (lambda: environment.external_url("HUB_X", ""), "HTTPS://:9580", "an address like https://"),
        (
            lambda: environment.external_url("HUB_X", ""),
            "https://user:word@hub.example.org",
            "an address like https://",
        ),
        (lambda: environment.external_url("HUB_X", ""), "https://[hub", "an address like https://"),
        (
            lambda: environment.external_url("HUB_X", ""),
            "https://hub.example.org:port",
            "an address like https://",
        ),
    ],
)
def test_a_value_that_is_not_understood_names_the_variable_and_what_it_takes_but_not_the_value(
    monkeypatch: pytest.MonkeyPatch, reader: Callable[[], Any], value: str, takes: str
) -> None:
    monkeypatch.setenv("HUB_X", value)
    with pytest.raises(ImproperlyConfigured) as raised:
        reader()
    assert "HUB_X" in str(raised.value)
    assert takes in str(raised.value)
    assert value not in str(raised.value).replace(takes, "").replace("HUB_X", "")[:20]


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_X", "")
    assert environment.integer("HUB_X", 7, minimum=0, maximum=9) == 7
    assert environment.text("HUB_X") is None


def test_a_value_can_come_from_a_file_without_its_last_line_break(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    monkeypatch.setenv("HUB_X_FILE", str(tmp_path / "secret"))
    assert environment.text("HUB_X") == "s3cret"


def test_a_value_set_in_both_ways_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUB_X_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("HUB_X", "value")
    with pytest.raises(ImproperlyConfigured, match="Both HUB_X and HUB_X_FILE"):
        environment.text("HUB_X")


def test_a_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUB_X_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ImproperlyConfigured, match=r"HUB_X_FILE names .*nowhere"):
        environment.text("HUB_X")


def _settings(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    code = "import hub.settings as s; print(s.DATABASES['default']['ENGINE'], len(s.HUB_ENCRYPTION_KEYS))"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**kept, "HUB_DATA_DIR": str(tmp_path / "data"), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_first_start_makes_keys_that_only_the_user_can_read_and_the_second_keeps_them(
    tmp_path: Path,
) -> None:
    assert _settings(tmp_path).returncode == 0
    key = tmp_path / "data" / "encryption_key"
    first = key.read_text()
    assert key.stat().st_mode & 0o077 == 0
    assert _settings(tmp_path).returncode == 0
    assert key.read_text() == first


def test_a_database_url_that_is_not_understood_is_not_repeated(tmp_path: Path) -> None:
    answer = _settings(tmp_path, HUB_DATABASE_URL="postgres//hub:pa55word@db/hub")
    assert answer.returncode != 0
    assert "HUB_DATABASE_URL is invalid" in answer.stderr
    assert "pa55word" not in answer.stderr


def test_several_encryption_keys_are_a_list(tmp_path: Path) -> None:
    keys = ",".join(["A" * 43 + "=", "B" * 43 + "="])
    assert _settings(tmp_path, HUB_ENCRYPTION_KEYS=keys, HUB_SECRET_KEY="x").stdout.strip().endswith(" 2")


def test_a_proxy_may_be_written_as_a_socket_for_both_ip_versions_shows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HUB_X", "::ffff:10.0.0.1, ::ffff:192.0.2.0/120 10.1.0.0/16 fd00::/8")
    assert [str(each) for each in environment.networks("HUB_X")] == [
        "10.0.0.1/32",
        "192.0.2.0/24",
        "10.1.0.0/16",
        "fd00::/8",
    ]
    monkeypatch.setenv("HUB_X", "10.0.0.1/8")
    with pytest.raises(ImproperlyConfigured, match=r"HUB_X is invalid\. Use addresses or networks"):
        environment.networks("HUB_X")
