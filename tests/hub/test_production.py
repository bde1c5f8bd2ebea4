"""A hub that serves others does not start with settings that are only fine on a laptop."""

import ctypes
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
KEYS = {"HUB_SECRET_KEY": "a-secret-key-of-our-own", "HUB_ENCRYPTION_KEYS": "A" * 43 + "="}
HTTPS = {"HUB_EXTERNAL_URL": "https://hub.example.org"}
POSTGRESQL = {"HUB_DATABASE_URL": "postgres://hub:pa55word@127.0.0.1:1/hub"}

SERVE = [sys.executable, "-m", "gunicorn", "-c", "hub/gunicorn.py", "--check-config"]
PREPARE = [sys.executable, "manage.py", "prepare"]
WSGI = [sys.executable, "-c", "import hub.wsgi"]


def run(command: list[str], tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**kept, "HUB_DATA_DIR": str(tmp_path / "data"), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("production", [HTTPS, POSTGRESQL], ids=["https", "postgresql"])
@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ({"HUB_SECRET_KEY": "", "HUB_ENCRYPTION_KEYS": ""}, "Set HUB_SECRET_KEY and HUB_ENCRYPTION_KEYS"),
        ({"HUB_SECRET_KEY": "django-insecure-x"}, "HUB_SECRET_KEY is a key that Django generated"),
        ({"HUB_DEBUG": "1"}, "HUB_DEBUG=1"),
        ({"HUB_ALLOWED_HOSTS": "hub.example.org,*"}, "HUB_ALLOWED_HOSTS=*"),
    ],
    ids=["generated keys", "a key for development", "debug", "wildcard hosts"],
)
def test_gunicorn_does_not_start_in_production_and_says_what_to_set(
    tmp_path: Path, production: dict[str, str], mistake: dict[str, str], says: str
) -> None:
    answer = run(SERVE, tmp_path, **{**KEYS, **production, **mistake})
    assert answer.returncode != 0
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "pa55word" not in answer.stderr


@pytest.mark.parametrize("command", [PREPARE, WSGI], ids=["prepare", "another WSGI server"])
def test_no_other_way_to_start_is_open(tmp_path: Path, command: list[str]) -> None:
    answer = run(command, tmp_path, **HTTPS)
    assert answer.returncode != 0
    assert "Set HUB_SECRET_KEY and HUB_ENCRYPTION_KEYS" in answer.stderr
    assert not (tmp_path / "data" / "hub.sqlite3").exists()


def test_keys_that_were_generated_can_be_kept_as_the_refusal_says(tmp_path: Path) -> None:
    assert run(SERVE, tmp_path, **HTTPS).returncode != 0
    named = {
        f"HUB_{variable}_FILE": str(tmp_path / "data" / file)
        for variable, file in (("SECRET_KEY", "secret_key"), ("ENCRYPTION_KEYS", "encryption_key"))
    }
    answer = run(SERVE, tmp_path, **HTTPS, **named)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    "variables",
    [{}, {"HUB_DEBUG": "1", "HUB_ALLOWED_HOSTS": "*"}, {**KEYS, **HTTPS}, {**KEYS, **POSTGRESQL}],
    ids=["a first run", "development", "https", "postgresql"],
)
def test_what_is_set_up_as_it_should_be_starts(tmp_path: Path, variables: dict[str, str]) -> None:
    answer = run(SERVE, tmp_path, **variables)
    assert answer.returncode == 0, answer.stderr


def test_pages_behind_a_proxy_carry_hsts_and_cookies_for_tls_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    code = (
        "import django; django.setup(); from django.test import Client; from django.core.management import "
        "call_command as c; c('migrate', verbosity=0);"
        "a = Client(headers={'host': 'hub.example.org', 'x-forwarded-proto': 'https'}).get('/admin/login/');"
        "print(a.status_code, dict(a.headers), [dict(m) for m in a.cookies.values()])"
    )
    answer = run(
        [sys.executable, "-c", code], tmp_path, **KEYS, **HTTPS, DJANGO_SETTINGS_MODULE="hub.settings"
    )
    assert answer.returncode == 0, answer.stderr
    assert "200 {" in answer.stdout
    assert "'Strict-Transport-Security': 'max-age=31536000; includeSubDomains'" in answer.stdout
    assert "'secure': True" in answer.stdout
    assert "unsafe" not in answer.stdout
    assert "default-src 'none'" in answer.stdout


def test_a_browser_is_not_told_to_hold_localhost_to_https(tmp_path: Path) -> None:
    code = "import hub.settings as s; print(s.SECURE_HSTS_SECONDS)"
    assert (
        run([sys.executable, "-c", code], tmp_path, HUB_EXTERNAL_URL="https://localhost").stdout.strip()
        == "0"
    )


@pytest.mark.parametrize("command", [PREPARE, SERVE], ids=["prepare", "gunicorn"])
def test_a_setting_that_is_not_understood_is_said_in_one_line(tmp_path: Path, command: list[str]) -> None:
    answer = run(command, tmp_path, HUB_EXTERNAL_URL="hub.example.org")
    assert answer.returncode == 1
    assert answer.stderr == (
        "HUB_EXTERNAL_URL is invalid: it doesn't begin with https:// or http://. "
        "Use an address like https://hub.example.com or https://example.com/hub.\n"
    )


def test_a_folder_for_data_that_is_not_there_yet_is_made(tmp_path: Path) -> None:
    answer = run(PREPARE, tmp_path, **KEYS, HUB_DATA_DIR=str(tmp_path / "of" / "the hub"))
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "of" / "the hub" / "hub.sqlite3").exists()


def test_a_folder_for_data_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    answer = run(PREPARE, tmp_path, **KEYS, HUB_DATA_DIR=str(tmp_path / "file" / "data"))
    assert answer.returncode == 1
    assert "Set HUB_DATA_DIR to a writable directory" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_secret_that_the_keys_do_not_open_is_named_at_the_start(tmp_path: Path) -> None:
    assert run(PREPARE, tmp_path, **KEYS).returncode == 0
    store = """
        from exporters.models import Credential, Team
        team = Team.objects.create(name="pay")
        Credential.objects.create(team=team, name="manage", kind="connection_string", secret="of one's own")
    """
    stored = run([sys.executable, "manage.py", "shell", "-c", textwrap.dedent(store)], tmp_path, **KEYS)
    assert stored.returncode == 0, stored.stderr
    assert "decrypt" not in run(PREPARE, tmp_path, **KEYS).stderr
    answer = run(PREPARE, tmp_path, HUB_SECRET_KEY="another", HUB_ENCRYPTION_KEYS="B" * 43 + "=")
    assert answer.returncode == 0  # the hub must still start for the other teams
    assert "The secret of credential “manage” (row 1) can't be decrypted" in answer.stderr


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="another C library than glibc")
def test_read_buffers_of_connections_stay_out_of_the_heap(tmp_path: Path) -> None:
    # Freeing a block of 300 KiB raises glibc's threshold above 256 KiB, unless the threshold is fixed.
    allocate = """
        import ctypes, hub.gunicorn
        fields = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
        class Counts(ctypes.Structure):
            _fields_ = [(name, ctypes.c_size_t) for name in fields]
        c = ctypes.CDLL(None)
        c.malloc.restype, c.free.argtypes, c.mallinfo2.restype = ctypes.c_void_p, [ctypes.c_void_p], Counts
        c.free(c.malloc(300 * 1024))
        before = c.mallinfo2().hblks
        kept = [c.malloc(256 * 1024) for _ in range(10)]
        print("mapped", c.mallinfo2().hblks - before)
    """
    answer = run([sys.executable, "-c", textwrap.dedent(allocate)], tmp_path)
    assert answer.stdout == "mapped 10\n", answer.stderr
