"""`python -m tests.upgrades.make [FOLDER]`: write the dumps of the checked-out version."""

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from hub.version import VERSION
from tests.support.servers import PostgreSQL, program

from . import ENCRYPTION_KEY, SECRET_KEY, SECRETS, STORED_CONNECTION_STRING

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

_FILL = f"""
from django.contrib.auth import get_user_model
from exporters.models import Credential, Membership, Namespace, ScrapeToken, Team
user = get_user_model().objects.create_superuser("admin", password="upgrade-upgrade")
team = Team.objects.create(name="shop", description="Orders and returns")
Membership.objects.create(user=user, team=team, role=Membership.Role.OWNER)
credential = Credential.objects.create(name="orders", team=team, secret={STORED_CONNECTION_STRING!r})
namespace = Namespace.objects.create(name="orders-prod", team=team, credential=credential)
namespace.cache_seconds = 5
namespace.save()
token = ScrapeToken(name="shop-prometheus", team=team, scope=ScrapeToken.Scope.LISTED)
token.set_token("sbh_" + "s" * 43)
token.save()
token.namespaces.add(namespace)
"""


def environment(database_url: str, data_dir: Path) -> dict[str, str]:
    """Return the environment of a hub that can read a dump's secrets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return {
        **kept,
        **SECRETS,
        "HUB_DATABASE_URL": database_url,
        "HUB_DATA_DIR": str(data_dir),
        "HUB_SECRET_KEY": SECRET_KEY,
        "HUB_ENCRYPTION_KEYS": ENCRYPTION_KEY,
        "HUB_ALLOW_LOOPBACK": "0",
        "PYTHONWARNINGS": "error",
    }


def manage(variables: dict[str, str], *arguments: str, text: str | None = None) -> str:
    """Run a management command; return its output, or raise RuntimeError with it if the command fails."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=variables,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"manage.py {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def fill(variables: dict[str, str]) -> str:
    """Create a database as it might be in use; return its export."""
    manage(variables, "migrate", "--verbosity", "0")
    manage(variables, "apply_config", str(HERE / "hub.yaml"))
    manage(variables, "shell", "--verbosity", "0", "-c", _FILL)
    return manage(variables, "export_config")


def dump_sqlite(file: Path) -> str:
    with sqlite3.connect(file) as connection:
        text = "\n".join(connection.iterdump()) + "\n"
    connection.close()
    return text


def dump_postgresql(server: PostgreSQL) -> str:
    dumped = subprocess.run(
        [program("pg_dump"), "--inserts", "--no-owner", "--no-privileges", server.url()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    # Another version doesn't understand psql's own commands or the settings of the dumping version.
    return re.sub(r"^(SET |\\|SELECT pg_catalog.set_config).*\n", "", dumped.stdout, flags=re.MULTILINE)


def make(folder: Path, version: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        file = data / "hub.sqlite3"
        exported = fill(environment(f"sqlite:///{file}", data))
        (folder / f"{version}.sqlite.sql").write_text(dump_sqlite(file))
        (folder / f"{version}.yaml").write_text(exported)
        with PostgreSQL() as server:
            fill(environment(server.url(), data))
            (folder / f"{version}.postgresql.sql").write_text(dump_postgresql(server))


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE, VERSION)
