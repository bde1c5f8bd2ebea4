"""Requirements before the hub serves: a migrated database, an administrator, the objects in hub.yaml."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from ..models import Team

ADMIN_NAME = "admin"


@dataclass(frozen=True, slots=True)
class Administrator:
    """The first user, with its password if the hub generated it and nobody has changed it since."""

    username: str
    password: str | None


# Any number that nothing else on the same database uses ("hub" in ASCII).
_LOCK = 0x687562


@contextmanager
def alone() -> Iterator[None]:
    """Let one process at a time prepare the database: hubs that start together would otherwise migrate concurrently."""
    # SQLite belongs to one machine, whose hub is prepared before it starts.
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        # A session lock, which ends with the process, however that ends.
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def migrate() -> None:
    """Migrate the database; raise CommandError if its folder can't be created."""
    try:
        settings.HUB_DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"HUB_DATA_DIR ({settings.HUB_DATA_DIR}) can't be created: {error}. "
            "Set HUB_DATA_DIR to a writable directory."
        ) from None
    call_command("migrate", interactive=False, verbosity=0)


@transaction.atomic
def ensure_administrator() -> Administrator:
    """Create the user `admin` on the first start; if HUB_ADMIN_PASSWORD is set, also reset its password."""
    users = get_user_model().objects
    user = users.filter(username=ADMIN_NAME).first()
    if settings.HUB_ADMIN_PASSWORD:
        if user is None:
            users.create_superuser(ADMIN_NAME, password=settings.HUB_ADMIN_PASSWORD)
        elif not user.check_password(settings.HUB_ADMIN_PASSWORD):
            user.set_password(settings.HUB_ADMIN_PASSWORD)
            user._change_reason = "password set by HUB_ADMIN_PASSWORD"  # type: ignore[attr-defined]
            user.save(update_fields=["password"])
        return Administrator(ADMIN_NAME, None)
    kept = settings.HUB_DATA_DIR / "admin_password"
    if user is not None or users.filter(is_superuser=True).exists():
        password = kept.read_text(encoding="ascii").strip() if kept.is_file() else None
        unchanged = user is not None and password is not None and user.check_password(password)
        return Administrator(ADMIN_NAME, password if unchanged else None)
    password = secrets.token_urlsafe(12)
    write_private(kept, password + "\n")
    users.create_superuser(ADMIN_NAME, password=password)
    return Administrator(ADMIN_NAME, password)


def apply_config(path: str) -> None:
    call_command("apply_config", path)


def database_is_empty() -> bool:
    """Return whether this hub has no data yet."""
    return not Team.objects.exists()


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user may read, from the moment it exists."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
