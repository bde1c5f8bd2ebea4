"""Parse HUB_DATABASE_URL and HUB_CACHE_URL, and reject at startup what would fail in a driver later.

Both contain passwords, so error messages don't include any part of them.
"""

import re
from typing import Any

import environ
from redis import ConnectionPool

_PORTS = re.compile(r"(?:[0-9]{1,5}(?:,[0-9]{1,5})*)?")
_KNOWN = {"ENGINE", "HOST", "NAME", "OPTIONS", "PASSWORD", "PORT", "USER"}


def database(url: str) -> dict[str, Any]:
    """Return the URL as Django database settings; raise ValueError."""
    try:
        found: dict[str, Any] = environ.Env.db_url_config(url)
    except Exception:  # the parser can raise anything
        raise ValueError from None
    if set(found) - _KNOWN:  # Django options, which the hub sets itself
        raise ValueError
    if found.get("ENGINE") == "django.db.backends.sqlite3":
        if found["NAME"] in ("", ":memory:"):  # each connection would have its own database
            raise ValueError
    elif found.get("ENGINE") == "django.db.backends.postgresql":
        _check_postgresql(found)
    else:
        raise ValueError
    return found


def check_cache(url: str) -> None:
    """Raise ValueError unless redis-py can create a connection from this URL."""
    try:
        ConnectionPool.from_url(url).make_connection()
    except Exception:  # unknown options raise TypeError
        raise ValueError from None


def _check_postgresql(found: dict[str, Any]) -> None:
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo

    options = found.get("OPTIONS", {})
    if not (found["NAME"] or options.get("service")) or not _PORTS.fullmatch(str(found["PORT"])):
        raise ValueError
    try:
        make_conninfo(**options)
    except ProgrammingError:
        raise ValueError from None
