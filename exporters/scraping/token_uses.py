"""When each scrape token was last used, and from where; written along with the records of scrapes.

A token is used with every scrape. A minute's precision is enough to see whether it is in use, so a process writes each
token at most once a minute, and a scrape itself only notes the use in memory.
"""

import os
import threading
from dataclasses import dataclass

from django.db.models import Q

from ..models import ScrapeToken
from ..servicebus import clock
from . import dates

_WRITTEN_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Use:
    at: float  # by servicebus.clock
    address: str | None


_lock = threading.Lock()
_noted: dict[int, Use] = {}
_written: dict[int, float] = {}  # by servicebus.clock
_pid = os.getpid()


def note(token_id: int, address: str | None) -> bool:
    """Note that a token was used now; return whether that needs to be written."""
    global _pid
    with _lock:
        if _pid != os.getpid():  # the parent process writes its own uses
            _noted.clear()
            _written.clear()
            _pid = os.getpid()
        if clock.now() - _written.get(token_id, -_WRITTEN_EVERY_SECONDS) < _WRITTEN_EVERY_SECONDS:
            return False
        _noted[token_id] = Use(clock.now(), address)
        return True


def write() -> None:
    """Store the noted uses. If the database fails, raise its error and keep them for the next call."""
    with _lock:
        batch = dict(_noted)
    for token_id, use in batch.items():
        # update() doesn't change the configuration's version, so no process reloads for it. Another replica may have
        # written a later use.
        at = dates.seconds_ago(clock.now() - use.at)
        earlier = Q(last_used_at=None) | Q(last_used_at__lt=at) | Q(last_used_at__gt=dates.latest_possible())
        ScrapeToken.objects.filter(earlier, pk=token_id).update(
            last_used_at=at, last_used_address=use.address
        )
        with _lock:
            _written[token_id] = clock.now()
            if _noted.get(token_id) is use:
                del _noted[token_id]


def forget() -> None:
    """Reset to the state of a new process."""
    with _lock:
        _noted.clear()
        _written.clear()
