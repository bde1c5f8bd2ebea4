"""Replace PostgreSQL sessions that became read-only: the server is no longer the primary, or refuses writes.

New sessions use target_session_attrs=read-write (hub/settings.py), so that among several hosts the writable one is
chosen. This module is about older sessions in the pool.
"""

from typing import Any

from django.db.backends.signals import connection_created
from django.dispatch import receiver

# PostgreSQL reports both to its clients automatically, from version 14 on, the oldest that Django supports.
_REPORTED = ("in_hot_standby", "default_transaction_read_only")
_READ_ONLY_TRANSACTION = "25006"  # an SQLSTATE


def is_read_only(error: BaseException) -> bool:
    """Return whether the database refused to write."""
    return getattr(error.__cause__, "sqlstate", None) == _READ_ONLY_TRANSACTION


def why_away(connection: Any) -> str:
    """Return what is wrong with a database that provides no usable session, as text for /-/ready.

    Connects once more, without requiring a writable session.
    """
    try:
        with connection.Database.connect(
            **{**connection.get_connection_params(), "target_session_attrs": "any"}
        ) as session:
            if _refuses_writes(session):
                return "read-only: it is not the primary, or default_transaction_read_only is on"
    except connection.Database.Error:
        pass
    return "doesn't answer"


@receiver(connection_created, dispatch_uid="read_only_sessions")
def _replace(connection: Any, **kwargs: Any) -> None:
    """Replace a pooled session that became read-only; raise OperationalError if there is no writable one."""
    if connection.vendor != "postgresql":
        return
    wanted = connection.settings_dict["OPTIONS"].get("target_session_attrs")
    if wanted not in ("read-write", "primary") or not _refuses_writes(connection.connection):
        return
    connection.connection.close()
    pool = connection.pool
    connection.close()
    if pool:
        pool.drain()
    connection.connect()


def _refuses_writes(session: Any) -> bool:
    return any(session.info.parameter_status(name) == "on" for name in _REPORTED)
