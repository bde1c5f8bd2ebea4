"""The backup and restore commands of docs/operations.md, run as documented."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.hubs import Hub, Simulated, deployed_settings
from tests.support.servers import PostgreSQL, program

from .conftest import ROOT

pytestmark = pytest.mark.e2e

_SECTION = (
    (ROOT / "docs/operations.md").read_text().partition("## Backup and restore")[2].partition("\n## ")[0]
)
BACKUP, RESTORE_POSTGRESQL, RESTORE_SQLITE, MAKE_SURE = re.findall(
    r"```console\n(.*?)```", _SECTION, re.DOTALL
)


class Documented(Hub):
    """A hub in a checkout whose folder `var` is its data folder."""

    def follow(self, commands: str, only: str = "") -> None:
        """Run the documented commands (only those containing `only`), as an operator would in the checkout."""
        lines = [line for line in commands.splitlines() if only in line or line.startswith("umask")]
        assert lines
        folder = self.directory / "data"
        folder.mkdir(exist_ok=True)
        links = {"var": folder, "manage.py": ROOT / "manage.py"}
        for name, target in links.items():
            link = self.directory / name
            if not link.is_symlink():
                link.symlink_to(target)
        paths = [str(Path(sys.executable).parent), str(Path(program("pg_dump")).parent), os.environ["PATH"]]
        done = subprocess.run(
            ["sh", "-e", "-c", "\n".join(lines)],
            cwd=self.directory,
            env={**self.environment(), "PATH": os.pathsep.join(paths)},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def shows(self, token: str) -> list[str]:
        status, body = self.get("/metrics/load-0000", token)
        assert status == 200, body
        assert "\nservicebus_up 1" in body
        return [line for line in body.splitlines() if not line.startswith("servicebus_scrape_")]

    def add_teams(self) -> None:
        """Write more data than the first pages hold, after the backup."""
        code = (
            "from exporters.models import Team; [Team.objects.create(name=f'later-{n}') for n in range(50)]"
        )
        self.manage("shell", "-c", code)


@contextmanager
def used_until_killed(database: Path) -> Iterator[None]:
    """Use a database as a program that is killed at the end, so that its write-ahead log is not checkpointed."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*c.execute('PRAGMA data_version')); input()"
    command = [sys.executable, "-u", "-c", code, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    for name in ("pg_dump", "psql"):
        programs.require(name)
    with Simulated(1, 5, 0) as simulated:
        yield simulated


def start(hub: Documented, simulated: Simulated) -> str:
    token = hub.prepare(simulated.namespaces)
    hub.start()
    return token


def test_sqlite_comes_back_from_a_backup_that_python_alone_has_made_beside_the_running_hub(
    simulated: Simulated,
) -> None:
    local = {"HUB_ALLOW_LOOPBACK": "1", "HUB_CA_FILE": simulated.ca_file}
    with ExitStack() as stack:
        hub = Documented(local)
        stack.callback(hub.close)
        token = start(hub, simulated)
        before = hub.shows(token)
        hub.follow(BACKUP, "sqlite3")
        assert (hub.directory / "hub-backup.sqlite3").stat().st_mode & 0o777 == 0o600
        with used_until_killed(hub.directory / "data/hub.sqlite3"):
            hub.add_teams()
            hub.kill()
        # The log belongs to the former file, and would be read into the restored one.
        assert (hub.directory / "data/hub.sqlite3-wal").stat().st_size > 0
        hub.follow(RESTORE_SQLITE)
        hub.follow(MAKE_SURE)
        hub.start()
        assert hub.shows(token) == before

        # Restore into a fresh folder, with the keys created on the first start.
        fresh = Documented(local)
        stack.callback(fresh.close)
        (fresh.directory / "data").mkdir()
        shutil.copy(hub.directory / "hub-backup.sqlite3", fresh.directory)
        fresh.follow(RESTORE_SQLITE)
        with pytest.raises(AssertionError, match="can't be decrypted with HUB_ENCRYPTION_KEYS"):
            fresh.follow(MAKE_SURE)  # with its own keys
        for name in ("encryption_key", "secret_key"):
            shutil.copy(hub.directory / "data" / name, fresh.directory / "data" / name)
        fresh.follow(MAKE_SURE)
        fresh.start()
        assert fresh.shows(token) == before
        assert json.loads(fresh.get("/-/ready")[1])["degraded"] == []


def test_postgresql_comes_back_from_a_dump(simulated: Simulated) -> None:
    programs.require("postgres")
    programs.require("initdb")
    with ExitStack() as stack:
        database = stack.enter_context(PostgreSQL())
        hub = Documented(deployed_settings(database.url(), "", simulated.ca_file))
        stack.callback(hub.close)
        token = start(hub, simulated)
        before = hub.shows(token)
        hub.follow(BACKUP, "pg_dump")
        assert "SharedAccessKey=" not in (hub.directory / "hub.sql").read_text()
        hub.stop()
        shutil.rmtree(hub.directory / "data")
        database.sql("DROP DATABASE hub WITH (FORCE)", database="postgres")
        database.sql("CREATE DATABASE hub", database="postgres")
        hub.follow(RESTORE_POSTGRESQL)
        hub.follow(MAKE_SURE)
        hub.start()
        assert hub.shows(token) == before
