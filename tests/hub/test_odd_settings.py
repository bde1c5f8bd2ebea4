"""Every HUB_ setting with odd values: it works, or the hub doesn't start and one line names the variable.

The settings come from docs/configuration.md, which another test compares with the code.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hubs import Hub
from tests.support.servers import wait_for

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = re.findall(
    r"^\| `(HUB_[A-Z_]+)` \|", (ROOT / "docs/configuration.md").read_text(encoding="utf-8"), re.MULTILINE
)
KEYS = {"HUB_SECRET_KEY": "a-key-of-this-test", "HUB_ENCRYPTION_KEYS": "A" * 43 + "="}
ODD = {
    "spaces": "   ",
    "a line break": "a\nb",
    "NUL": "a\0b",
    "an escape": "\x1b[31m",
    "not UTF-8": "\udcff\udcfe",
    "huge": "9" * 70_000,
    "long": "a" * 5_000,
    "many digits": "1" * 5_000,
    "negative": "-1",
    "a float": "1.5",
    "infinite": "inf",
    "no number": "nan",
    "underscores": "1_0",
    "other digits": "\u0663",
    "a word": "maybe",
    "a path": "/nowhere/at/all",
    "a URL": "https://user:pa55word@hub.example.com:99999/?x#y",
    "a bracket": "http://[",
    "punctuation": "%s{}'\";--",
}
# Text settings accept any text that fits on one line.
_TEXT = {
    name for name in ODD if name not in ("spaces", "a line break", "NUL", "an escape", "not UTF-8", "huge")
}
# The odd values that each setting accepts. For settings not listed, all are refused.
TAKES = {
    "HUB_SECRET_KEY": _TEXT,
    "HUB_ADMIN_PASSWORD": _TEXT,
    "HUB_CONFIG": _TEXT,  # `prepare` checks it
    # Checked below, in the way gunicorn does on startup.
    "HUB_ENCRYPTION_KEYS": _TEXT | {"a line break"},
    "HUB_NAMESPACE_LABEL": _TEXT,
    "HUB_ENDPOINT_SUFFIXES": _TEXT | {"a line break"},
    # Created if it doesn't exist.
    "HUB_DATA_DIR": _TEXT - {"long", "many digits"},
    # Host names.
    "HUB_ALLOWED_HOSTS": {"a word", "a line break", "infinite", "no number", "other digits"},
    "HUB_RELOAD_SECONDS": {"a float"},
}

# Imports the settings with each value in turn.
_DRIVER = """
import json, os, runpy, sys, tempfile
from django.core.exceptions import ImproperlyConfigured
for line in sys.stdin:
    name, value, through_file = json.loads(line)
    os.environ.pop(name, None)
    with tempfile.NamedTemporaryFile() as file:
        if through_file:
            file.write(value.encode(errors="surrogateescape"))
            file.flush()
            os.environ[name + "_FILE"] = file.name
        else:
            os.environ[name] = value
        before = dict(os.environ)
        try:
            runpy.run_module("hub.settings")
            said = ["works", ""]
        except ImproperlyConfigured as error:
            said = ["refused", str(error)]
        except BaseException as error:
            said = ["failed", repr(error)[:200]]
        print(json.dumps(said), flush=True)
        os.environ.pop(name, None)
        os.environ.pop(name + "_FILE", None)
        os.environ.update(json.loads(os.environ["KEPT"]))
"""


def test_every_setting_works_or_is_refused_in_one_line_that_names_it(tmp_path: Path) -> None:
    cases = [
        (name, odd, through_file)
        for name in SETTINGS
        for odd, value in ODD.items()
        for through_file in (False, True)
        # An environment can't contain NUL, and Linux limits a variable to 128 KiB.
        if through_file or "\0" not in value
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    given = {**KEYS, "HUB_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _DRIVER],
        cwd=ROOT,
        env={**kept, **given, "KEPT": json.dumps(given)},
        input="".join(json.dumps([name, ODD[odd], through]) + "\n" for name, odd, through in cases),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    wrong = []
    for (name, odd, through_file), line in zip(cases, done.stdout.splitlines(), strict=True):
        outcome, said = json.loads(line)
        expected = "works" if odd in TAKES.get(name, set()) else "refused"
        clear = outcome == "works" or (name in said and "\n" not in said and len(said) < 400)
        repeated = "pa55word" in said and odd != "a URL"
        if outcome != expected or not clear or repeated or not said.isprintable():
            wrong.append((name, odd, through_file, outcome, said[:200]))
    assert not wrong, "\n".join(map(str, wrong))


# The default of HUB_DATA_DIR is a folder inside the checkout.
@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "HUB_DATA_DIR"])
def test_an_empty_setting_counts_as_not_set(name: str, tmp_path: Path) -> None:
    kept = {each: value for each, value in os.environ.items() if not each.startswith("HUB_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import hub.settings"],
        cwd=ROOT,
        env={**kept, "HUB_DATA_DIR": str(tmp_path), name: ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def refusal_of_gunicorn(tmp_path: Path, **variables: str) -> str:
    """Start gunicorn with settings that it must refuse; return its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "hub/gunicorn.py"],
        cwd=ROOT,
        env={**kept, **KEYS, "HUB_DATA_DIR": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    (line,) = [each for each in done.stderr.splitlines() if "Starting gunicorn" not in each]
    return line


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("HUB_ENCRYPTION_KEYS", ["short", "é", "A" * 43 + "=,short"]),
        ("HUB_NAMESPACE_LABEL", ["a b", "1a", "__name__", "a" * 5_000 + "-", "job"]),
        ("HUB_ENDPOINT_SUFFIXES", [".net", "*", "https://example.net", "a..b", "example.net:443"]),
        ("HUB_CA_FILE", [str(ROOT / "README.md")]),
        ("HUB_TLS_CERT_FILE", [str(ROOT / "README.md")]),
        (
            "HUB_DATABASE_URL",
            ["sqlite://", "sqlite:///:memory:", "postgres://hub@db", "postgres://db/hub?foo=1"],
        ),
        ("HUB_DATABASE_URL", ["postgres://db:x/hub", "postgres://db/hub?conn_max_age=60", "mysql://db/hub"]),
        ("HUB_DATABASE_URL", ["postgres://hub:pa@ss@db/hub", "postgres://hub:a%zz@db/hub", "sqlite://hub"]),
        ("HUB_REDIS_URL", ["redis://cache/0?foo=1", "http://cache", "rediss://cache?ssl_cert_reqs=some"]),
    ],
)
def test_what_no_driver_and_no_scrape_could_use_stops_gunicorn(
    tmp_path: Path, name: str, values: list[str]
) -> None:
    for value in values:
        variables = {name: value}
        if name == "HUB_TLS_CERT_FILE":
            variables["HUB_TLS_KEY_FILE"] = value
        assert name in refusal_of_gunicorn(tmp_path, **variables), value


def test_prepare_names_a_configuration_file_that_is_not_there(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    done = subprocess.run(
        [sys.executable, "manage.py", "prepare"],
        cwd=ROOT,
        env={**kept, **KEYS, "HUB_DATA_DIR": str(tmp_path), "HUB_CONFIG": "/nowhere/hub.yaml"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "HUB_CONFIG names /nowhere/hub.yaml, which is not a file." in done.stderr


@pytest.mark.e2e
def test_a_hub_runs_with_everything_odd_that_is_taken() -> None:
    hub = Hub(
        {
            "HUB_SECRET_KEY": ODD["long"] + ODD["punctuation"],
            "HUB_ENCRYPTION_KEYS": "\n" + "A" * 43 + "=,,\t" + "B" * 43 + "=\n",
            "HUB_ADMIN_PASSWORD": "  %s{}'\";-- \u0663 ",
            "HUB_ALLOWED_HOSTS": ".example.com , 127.0.0.1\n",
            "HUB_TRUSTED_PROXIES": "10.0.0.0/8,\n::1",
            "HUB_ENDPOINT_SUFFIXES": ".Example.NET",
            "HUB_WORKERS": " 1 ",
            "HUB_METRICS_OPEN": "YES",
        }
    )
    try:
        hub.manage("prepare")
        hub.start()
        assert hub.get("/admin/login/")[0] == 200
        assert hub.get("/metrics")[0] == 200
        wait_for(lambda: json.loads(hub.get("/-/ready")[1])["degraded"] == [], "nothing is degraded")
    finally:
        hub.close()
