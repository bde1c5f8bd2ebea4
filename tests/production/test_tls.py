"""A hub that serves TLS itself, while its certificate is renewed."""

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.hubs import Hub
from tests.support.servers import accepts, wait_for

from .conftest import ROOT

KEYS = {"HUB_SECRET_KEY": "a-key-of-this-test", "HUB_ENCRYPTION_KEYS": "A" * 43 + "="}


def make(folder: Path) -> dict[str, str]:
    """Create a certificate with a key; return the settings for them."""
    programs.require("openssl")
    folder.mkdir(parents=True)
    key, certificate = folder / "tls.key", folder / "tls.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return {"HUB_TLS_CERT_FILE": str(certificate), "HUB_TLS_KEY_FILE": str(key)}


class WithTLS(Hub):
    def is_up(self) -> bool:
        return accepts(self.port) and self.shows() != ""

    def shows(self) -> str:
        """Return the certificate that a new connection gets; empty if it gets none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=15) as plain,
                context.wrap_socket(plain) as connection,
            ):
                found = connection.getpeercert(binary_form=True)
        except OSError:
            return ""
        return ssl.DER_cert_to_PEM_cert(found) if found else ""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WithTLS]:
    hub = WithTLS({**KEYS, **make(tmp_path / "served")})
    try:
        hub.manage("prepare")
        hub.start()
        yield hub
    finally:
        hub.close()


@pytest.mark.e2e
def test_a_renewed_certificate_is_shown_without_a_restart_and_the_former_one_until_its_key_is_there(
    hub: WithTLS, tmp_path: Path
) -> None:
    first, served = hub.shows(), tmp_path / "served"
    make(tmp_path / "renewed")
    os.replace(tmp_path / "renewed/tls.crt", served / "tls.crt")
    assert (served / "tls.crt").read_text() != first
    # Enough connections to reach each worker process.
    assert {hub.shows() for _ in range(20)} == {first}
    os.replace(tmp_path / "renewed/tls.key", served / "tls.key")
    renewed = (served / "tls.crt").read_text()
    wait_for(lambda: {hub.shows() for _ in range(20)} == {renewed}, "the renewed certificate is shown")
    assert "Can't load the new certificate" in hub.log.read_text()


@pytest.mark.e2e
def test_the_probe_of_the_image_finds_a_hub_that_speaks_tls(hub: WithTLS) -> None:
    hub.manage(module="hub.probe")
    hub.stop()
    with pytest.raises(RuntimeError, match="The hub isn't responding"):
        hub.manage(module="hub.probe")


def test_a_certificate_without_its_key_is_said_in_one_line(tmp_path: Path) -> None:
    settings = make(tmp_path / "one") | {"HUB_TLS_KEY_FILE": make(tmp_path / "other")["HUB_TLS_KEY_FILE"]}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    answer = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "hub/gunicorn.py", "--check-config"],
        cwd=ROOT,
        env={**kept, **KEYS, **settings, "HUB_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode != 0
    assert "can't be used together" in answer.stderr
    assert "Traceback" not in answer.stderr
