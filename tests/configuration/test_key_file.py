"""HUB_ENCRYPTION_KEYS_FILE is re-read when it changes while the hub runs."""

import base64
import logging
import os
from pathlib import Path

import pytest

from exporters.credentials import encryption
from exporters.credentials.key_file import KeyFile


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


@pytest.fixture
def path(tmp_path: Path, settings: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "keys"
    path.write_text(new_key())
    monkeypatch.delenv("HUB_ENCRYPTION_KEYS", raising=False)
    monkeypatch.setenv("HUB_ENCRYPTION_KEYS_FILE", str(path))
    monkeypatch.setattr(
        encryption, "_key_file", KeyFile(encryption._key_file._read, encryption._key_file._check)
    )
    settings.HUB_ENCRYPTION_KEYS = [path.read_text()]  # type: ignore[attr-defined]
    settings.HUB_ENCRYPTION_KEYS_FILE = str(path)  # type: ignore[attr-defined]
    return path


def test_a_new_key_is_taken_and_a_former_one_goes(path: Path) -> None:
    sealed = encryption.key_ring().seal("it", "here")
    former, new = path.read_text(), new_key()
    path.write_text(f"{new},{former}")
    assert encryption.key_ring().open(sealed, "here") == "it"
    again = encryption.key_ring().seal("it", "here")
    path.write_text(new)
    assert encryption.key_ring().open(again, "here") == "it"
    with pytest.raises(encryption.UndecryptableError):
        encryption.key_ring().open(sealed, "here")


def test_a_file_replaced_as_kubernetes_does_is_noticed(path: Path) -> None:
    sealed = encryption.key_ring().seal("it", "here")
    other = path.with_name("other")
    other.write_text(new_key())
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)  # same size and time, but a different file
    with pytest.raises(encryption.UndecryptableError):
        encryption.key_ring().open(sealed, "here")


@pytest.mark.parametrize("content", ["", "no key at all", None])
def test_while_the_file_is_of_no_use_the_former_keys_go_on_and_the_log_says_so_once(
    path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    sealed = encryption.key_ring().seal("it", "here")
    right = path.read_text()
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with caplog.at_level(logging.ERROR, "exporters.credentials.key_file"):
        assert encryption.key_ring().open(sealed, "here") == "it"
        assert encryption.key_ring().open(sealed, "here") == "it"
    assert len(caplog.messages) == 1
    assert "keeping the current ones" in caplog.text
    path.write_text(f"{new_key()} {right}")
    assert encryption.key_ring().open(sealed, "here") == "it"
