"""The database of every released version, upgraded to this one."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader

from tests.production.conftest import Holder
from tests.support import programs
from tests.support.servers import PostgreSQL

from . import SECRETS, STORED_CONNECTION_STRING
from .make import HERE, ROOT, environment, make, manage
from .safety import unsafe

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
RELEASED = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", CHANGELOG, re.MULTILINE)


@pytest.fixture(scope="module")
def this_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a dump of the checked-out version, created as for a release."""
    programs.require("pg_dump")
    programs.require("postgres")
    folder = tmp_path_factory.mktemp("dumps")
    make(folder, "this")
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    programs.require("postgres")
    with PostgreSQL() as server:
        yield server


def upgraded(dump: str, engine: str, server: PostgreSQL, data: Path) -> dict[str, str]:
    """Load a dump and upgrade it to this version; return the environment of a hub on it."""
    if engine == "sqlite":
        file = data / "hub.sqlite3"
        with sqlite3.connect(file) as connection:
            connection.executescript(dump)
        connection.close()
        variables = environment(f"sqlite:///{file}", data)
    else:
        server.sql("DROP DATABASE IF EXISTS hub WITH (FORCE)", database="postgres")
        server.sql("CREATE DATABASE hub", database="postgres")
        server.script(dump)
        variables = environment(server.url(), data)
    manage(variables, "migrate", "--verbosity", "0")
    return variables


@pytest.mark.e2e
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@pytest.mark.parametrize("version", [*RELEASED, "this"])
def test_a_database_of_a_released_version_is_upgraded_with_all_that_is_in_it(
    version: str, engine: str, server: PostgreSQL, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue("this_version") if version == "this" else HERE
    variables = upgraded((folder / f"{version}.{engine}.sql").read_text(), engine, server, tmp_path)
    exported = (folder / f"{version}.yaml").read_text()
    assert "Nothing to change." in manage(variables, "apply_config", "-", "--dry-run", text=exported)
    holder = Holder(variables)
    try:
        answer = holder.do("current")
    finally:
        holder.close()
    assert answer["names"] == ["orders-prod", "stock-prod", "stock-test"]
    assert answer["secrets"] == ["", STORED_CONNECTION_STRING, SECRETS["UPGRADE_CONNECTION_STRING"]]


def test_every_release_has_left_its_database_here() -> None:
    for version in RELEASED:
        for kind in ("sqlite.sql", "postgresql.sql", "yaml"):
            assert (HERE / f"{version}.{kind}").is_file(), f"run `make upgrade-dump` on the release {version}"


def test_no_migration_takes_from_the_former_version_what_it_still_uses() -> None:
    loader = MigrationLoader(None)
    own = {
        name: type(migration)
        for (app, name), migration in loader.disk_migrations.items()
        if app == "exporters"
    }
    assert own
    for name, migration in own.items():
        if not getattr(migration, "initial", False):
            assert unsafe(migration) == [], name


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        (migrations.RenameField("team", "name", "title"), "the former version still uses the old name"),
        (migrations.RemoveField("team", "name"), "the former version may still use it"),
        (migrations.DeleteModel("team"), "the former version may still use it"),
        (migrations.AddField("team", "size", models.IntegerField(default=1)), "give it a db_default"),
        (migrations.AddField("team", "size", models.IntegerField(null=True)), None),
        (migrations.AddField("team", "size", models.IntegerField(db_default=1)), None),
    ],
)
def test_the_check_of_migrations_knows_what_breaks_the_former_version(
    operation: migrations.operations.base.Operation, problem: str | None
) -> None:
    found = unsafe(SimpleNamespace(operations=[operation]))  # type: ignore[arg-type]
    assert [problem in text for text in found] == ([True] if problem else [])


def test_a_removal_may_follow_once_no_running_version_asks_for_it() -> None:
    operations = [migrations.RemoveField("team", "name")]
    assert unsafe(SimpleNamespace(operations=operations, removed_after="0.2.0")) == []  # type: ignore[arg-type]
