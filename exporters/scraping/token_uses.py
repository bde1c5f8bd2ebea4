"""When each scrape token was last shown, and from where; written beside the records of scrapes.

A token is shown with every scrape. A minute's precision is enough to see whether it is in use, so a process writes
each token at most once a minute, and a scrape itself only notes it in memory.
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
    at: float  # by the machine's clock
    address: str | None


_lock = threading.Lock()
_noted: dict[int, Use] = {}
_written: dict[int, float] = {}  # by the machine's clock
_pid = os.getpid()


def note(token_id: int, address: str | None) -> bool:
    """Note that a token was shown at this moment; tell whether that is to be written."""
    global _pid
    with _lock:
        if _pid != os.getpid():  # the parent's are the parent's to write
            _noted.clear()
            _written.clear()
            _pid = os.getpid()
        if clock.now() - _written.get(token_id, -_WRITTEN_EVERY_SECONDS) < _WRITTEN_EVERY_SECONDS:
            return False
        _noted[token_id] = Use(clock.now(), address)
        return True


def write() -> None:
    """Store what was noted; after an error of the database, which is raised, it is still to be written."""
    with _lock:
        batch = dict(_noted)
    for token_id, use in batch.items():
        # update() changes no configuration: no other process reads everything anew for it. Another replica may
        # have written a later use.
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
    """Start over, as a process that has just begun."""
    with _lock:
        _noted.clear()
        _written.clear()
