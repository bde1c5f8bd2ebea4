"""A hub on a database without migrations reports that everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
_SIGN_IN = """
import django
django.setup()
from django.test import Client
client = Client(raise_request_exception=False, headers={"host": "localhost"})
for answer in (client.post("/admin/login/", {"username": "a", "password": "b"}), client.get("/metrics/payments")):
    print(answer.status_code, answer.content.decode())
"""


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    environment = {**kept, "HUB_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "hub.settings"}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def test_pages_and_scrapes_say_so_with_503(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", _SIGN_IN)
    assert done.stdout.count("503 ") == 2, done.stdout + done.stderr
    assert "<code>manage.py prepare</code>" in done.stdout
    assert "not migrated (see /-/ready)" in done.stdout


@pytest.mark.parametrize("command", [["scrape", "payments"], ["export_config"], ["reencrypt"]])
def test_commands_say_so_without_a_traceback(tmp_path: Path, command: list[str]) -> None:
    done = run(tmp_path, "manage.py", *command)
    assert done.returncode == 1
    assert "not migrated" in done.stderr
    assert "manage.py prepare" in done.stderr
    assert "Traceback" not in done.stderr
