"""When scrape tokens and spare secrets were last used, written along with the records of scrapes.

A token is used with every scrape. A minute's precision is enough to see whether it is in use, so a process writes each
one at most once a minute, and a scrape itself only notes the use in memory.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q

from ..models import Credential, ScrapeToken
from ..servicebus import clock

_WRITTEN_EVERY_SECONDS = 60.0
# Hubs that write dates into one database each use their own clock.
_CLOCKS_AGREE_WITHIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Use:
    at: float  # by servicebus.clock
    address: str | None


class LastUses:
    """The last uses of stored objects, by primary key. Thread-safe."""

    def __init__(self, store: Callable[[int, datetime, str | None], None]) -> None:
        """`store` writes one last use, unless a later one is stored."""
        self._store = store
        self.forget()
        os.register_at_fork(after_in_child=self.forget)  # the parent process writes its own uses

    def forget(self) -> None:
        """Reset to the state of a new process."""
        self._lock = threading.Lock()
        self._noted: dict[int, Use] = {}
        self._written: dict[int, float] = {}  # by servicebus.clock

    def note(self, key: int, address: str | None = None) -> bool:
        """Note a use at this moment; return whether it needs to be written."""
        now = clock.now()
        with self._lock:
            if now - self._written.get(key, -_WRITTEN_EVERY_SECONDS) < _WRITTEN_EVERY_SECONDS:
                return False
            self._noted[key] = Use(now, address)
            return True

    def write(self) -> None:
        """Store the noted uses. If the database fails, raise its error and keep them for the next call."""
        with self._lock:
            batch = dict(self._noted)
        for key, use in batch.items():
            self._store(key, _seconds_ago(clock.now() - use.at), use.address)
            with self._lock:
                self._written[key] = clock.now()
                if self._noted.get(key) is use:
                    del self._noted[key]


def latest_possible() -> datetime:
    """Return the latest date that any hub can have written by now.

    A later date was written before a clock was set back. It must not make new records look old.
    """
    return datetime.now(UTC) + _CLOCKS_AGREE_WITHIN


def _seconds_ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def _earlier(field: str, at: datetime) -> Q:
    """Select what has no later date in the field: another replica may have written one."""
    return Q(**{field: None}) | Q(**{f"{field}__lt": at}) | Q(**{f"{field}__gt": latest_possible()})


# update() doesn't change the configuration's version, so no process reloads for it.


def _store_token(key: int, at: datetime, address: str | None) -> None:
    ScrapeToken.objects.filter(_earlier("last_used_at", at), pk=key).update(
        last_used_at=at, last_used_address=address
    )


def _store_spare(key: int, at: datetime, address: str | None) -> None:
    without = {"spare_secret_fingerprint": ""}
    Credential.objects.filter(_earlier("spare_used_at", at), pk=key).exclude(**without).update(
        spare_used_at=at
    )


tokens = LastUses(_store_token)
spares = LastUses(_store_spare)  # by the credential's primary key
