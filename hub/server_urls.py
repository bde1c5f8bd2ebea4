"""Parse HUB_DATABASE_URL and HUB_REDIS_URL, and reject at startup what would fail in a driver later.

Both contain passwords, so error messages don't include any part of them.
"""

import re
from typing import Any

from redis import ConnectionPool

_PORTS = re.compile(r"[0-9]{0,5}(?:,[0-9]{0,5})*")


def database(url: str) -> dict[str, Any]:
    """Return the URL as Django database settings; raise ValueError."""
    scheme, _, path = url.partition("://")
    if scheme == "sqlite":
        if path in ("/", "/:memory:") or not path.startswith(
            "/"
        ):  # each connection would have its own database
            raise ValueError
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": path[1:]}
    if scheme not in ("postgres", "postgresql"):
        raise ValueError
    return _postgresql(url)


def check_redis(url: str) -> None:
    """Raise ValueError unless redis-py can create a connection from this URL."""
    try:
        ConnectionPool.from_url(url).make_connection()
    except Exception:  # unknown options raise TypeError
        raise ValueError from None


def _postgresql(url: str) -> dict[str, Any]:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        options: dict[str, Any] = conninfo_to_dict(url)
    except ProgrammingError:
        raise ValueError from None
    found = {
        name: options.pop(key, "")
        for name, key in (
            ("NAME", "dbname"),
            ("USER", "user"),
            ("PASSWORD", "password"),
            ("HOST", "host"),
            ("PORT", "port"),
        )
    }
    if not (found["NAME"] or options.get("service")) or not _PORTS.fullmatch(found["PORT"]):
        raise ValueError
    if "@" in found["HOST"]:  # the rest of a password with an @ that isn't percent-encoded
        raise ValueError
    return {"ENGINE": "django.db.backends.postgresql", "OPTIONS": options, **found}
