"""A dedicated PostgreSQL server, and processes that hold the configuration on it."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support import programs
from tests.support.servers import PostgreSQL

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """A server with a migrated database `template`."""
    programs.require("postgres")
    programs.require("initdb")
    with PostgreSQL() as server:
        server.sql("CREATE DATABASE template", database="postgres")
        migrate({**hub_environment(), "HUB_DATABASE_URL": server.url("template")})
        yield server


@pytest.fixture
def postgresql(postgresql_server: PostgreSQL) -> Iterator[PostgreSQL]:
    """A running server with a migrated database `hub`, whatever the previous test did to it."""
    if not postgresql_server.is_running():
        postgresql_server.start()
    postgresql_server.sql("DROP DATABASE IF EXISTS hub WITH (FORCE)", database="postgres")
    postgresql_server.sql("CREATE DATABASE hub TEMPLATE template", database="postgres")
    yield postgresql_server
    if postgresql_server.is_running():
        postgresql_server.resume()


def encryption_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def hub_environment() -> dict[str, str]:
    """Return this process's environment without HUB_ variables, with new keys and strict warnings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return {
        **kept,
        "PYTHONWARNINGS": "error",
        "HUB_SECRET_KEY": "secret",
        "HUB_ENCRYPTION_KEYS": encryption_key(),
    }


@pytest.fixture
def environment(postgresql: PostgreSQL, tmp_path: Path) -> dict[str, str]:
    """The environment of a hub on that PostgreSQL."""
    return {
        **hub_environment(),
        "HUB_DATABASE_URL": postgresql.url(),
        "HUB_DATA_DIR": str(tmp_path / "data"),
        "HUB_RELOAD_SECONDS": "0.2",
    }


def migrate(variables: dict[str, str]) -> None:
    assert manage(variables, "migrate", "--skip-checks", "--verbosity", "0").wait(120) == 0


def manage(variables: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    """Start a management command."""
    return subprocess.Popen([sys.executable, "manage.py", *arguments], cwd=ROOT, env=variables, text=True)


class Holder:
    """A process that holds a configuration."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.production.driver"],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def do(self, command: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def current_until(self, names: list[str], seconds: float = 15.0) -> dict[str, Any]:
        """Poll until the configuration has exactly these namespaces and the database is available."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.do("current")
            if (answer.get("names") == names and not answer["problem"]) or time.monotonic() > deadline:
                assert answer.get("names") == names, answer
                return answer
            time.sleep(0.1)

    def log(self) -> str:
        """End the process; return its log output."""
        _, log = self._process.communicate(timeout=60)
        return log

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The process ended: {self.log()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class StartHolder(Protocol):
    def __call__(self, **variables: str) -> Holder: ...


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[StartHolder]:
    """Start processes that hold a configuration, with additional variables."""
    with ExitStack() as stack:
        yield lambda **variables: stack.enter_context(closing(Holder({**environment, **variables})))
