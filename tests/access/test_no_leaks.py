"""Plant recognizable secrets everywhere, exercise everything, and search all output for them."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core import management
from django.db import connection, transaction
from django.test import Client

from exporters.configuration.disk_copy import DiskCopy
from exporters.configuration.loading import everything
from exporters.configuration.reloader import reloader
from exporters.models import Credential, Namespace
from exporters.scraping import reading, scrape_records
from hub.logs import JsonFormatter, TextFormatter
from tests.configuration.conftest import CLIENT, TENANT

from . import people
from .table import cases

# Each is long enough that it doesn't occur by chance, and looks the same inside larger text.
KEY = "cGxhbnRlZC1hY3RpdmUta2V5LW9mLXBheW1lbnRz"
SPARE = "cGxhbnRlZC1zcGFyZS1rZXktb2YtcGF5bWVudHM"
CLIENT_SECRET = "planted~client~secret~8Q.x1y2z3w4"
SIGNATURE = "cGxhbnRlZC1zaWduYXR1cmU"
PASSWORD = "planted-password-of-ada"
PLANTED = (KEY, SPARE, CLIENT_SECRET, SIGNATURE, PASSWORD, *(f"secret-of-{name}" for name in people.TOKENS))


def _string(key: str) -> str:
    return f"Endpoint=sb://localhost:1/;SharedAccessKeyName=k;SharedAccessKey={key}"


@pytest.fixture
def objects(db: None, settings: Any) -> Iterator[dict[str, Any]]:
    settings.HUB_ALLOW_LOOPBACK = True  # nothing listens there: every read fails
    reloader.forget()
    reading.close()
    made = people.make()
    credential = Credential.objects.get(pk=made["credential"])
    credential.secret, credential.spare_secret = _string(KEY), _string(SPARE)
    credential.save()
    Namespace.objects.filter(pk=made["namespace"]).update(credential=credential, host="")
    Credential.objects.create(
        name="app",
        team_id=made["team"],
        kind="client_secret",
        secret=CLIENT_SECRET,
        tenant_id=TENANT,
        client_id=CLIENT,
    )
    signed = f"SharedAccessSignature sr=x&sig={SIGNATURE}&se=1&skn=k"
    Credential.objects.create(
        name="signed",
        team_id=made["team"],
        secret=f"Endpoint=sb://localhost:1/;SharedAccessSignature={signed}",
    )
    yield made
    reading.close()
    reloader.forget()


class Listener(logging.Handler):
    """Everything that is logged, at every level, as text and as JSON."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [TextFormatter().format(record), JsonFormatter().format(record)]


@pytest.fixture
def log() -> Any:
    listener = Listener()
    root = logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    yield listener
    root.removeHandler(listener)
    root.setLevel(level)


def _found(text: str) -> set[str]:
    return {secret for secret in PLANTED if secret in text}


def _database() -> str:
    with connection.cursor() as cursor:
        rows = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += cursor.fetchall()
    return repr(rows)


@pytest.mark.parametrize("who", ["admin", "owner", "viewer", "anonymous", "token", "other-owner"])
def test_no_page_shows_a_secret(objects: dict[str, Any], log: Listener, who: str) -> None:
    client = people.client(who)
    for case in (case for case in cases() if case.user == who):
        with transaction.atomic():
            data = urlencode(case.form(objects), doseq=True)
            answer = client.generic(
                case.method, case.url.format(**objects), data, "application/x-www-form-urlencoded"
            )
            transaction.set_rollback(True)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
        # This includes the token that the client itself sent.
        assert not _found(body.decode(errors="replace") + repr(dict(answer.headers))), case.url
    assert not _found("\n".join(log.lines))


def test_forms_with_errors_show_and_keep_no_secret(objects: dict[str, Any], log: Listener) -> None:
    client = people.client("owner")
    address = f"/admin/exporters/credential/{objects['credential']}/change/"
    for secret in (_string(KEY), KEY, f"{_string(KEY)};{KEY}", _string(KEY).replace("sb://", "ftp://")):
        fields = {"name": "NOT legal", "kind": "connection_string", "team": objects["team"]}
        answer = client.post(address, fields | {"secret": secret, "spare_secret": _string(SPARE)})
        assert answer.status_code == 200
        assert not _found(answer.content.decode())
    Client().post("/admin/login/", {"username": "ada", "password": PASSWORD})
    assert not _found(_database())
    assert not _found("\n".join(log.lines))


def test_no_command_prints_a_secret(
    objects: dict[str, Any], log: Listener, capfd: Any, tmp_path: Path
) -> None:
    out = io.StringIO()
    for command in ("export_config", "check", "reencrypt"):
        management.call_command(command, stdout=out, stderr=out)
    management.call_command("check", databases=["default"], deploy=True, stdout=out, stderr=out)
    management.call_command("dumpdata", stdout=out, stderr=out)
    exported = tmp_path / "hub.yaml"
    exported.write_text(_string(KEY) + "\ncredentials: [{name: x, secret: " + _string(KEY) + "}]")
    with pytest.raises(management.CommandError) as refused:
        management.call_command("apply_config", str(exported), stdout=out, stderr=out)
    told = capfd.readouterr()
    assert not _found(out.getvalue() + str(refused.value) + told.out + told.err + "\n".join(log.lines))
    assert "payments-key" in out.getvalue()


def test_what_is_stored_and_kept_is_encrypted(objects: dict[str, Any], log: Listener, tmp_path: Path) -> None:
    scraped = people.client("token").get(
        "/metrics/payments-bus", headers={"X-Prometheus-Scrape-Timeout-Seconds": "1"}
    )
    assert "servicebus_up 0" in scraped.content.decode()
    scrape_records.recorder.flush()
    configuration = reloader.current()
    copy = DiskCopy()
    copy.keep(everything())
    kept = copy.path.read_bytes().decode("latin-1")
    copy.path.unlink()
    stored = _database()
    assert not _found(stored + kept + repr(configuration) + scraped.content.decode() + "\n".join(log.lines))
    assert "gAAAA" in stored  # ciphertext is there (it begins like this)
    assert any(
        value.secret == _string(KEY) for value in [configuration.targets["payments-bus"].credential] if value
    )
