"""What scrapes share: a read under way, its result, and a namespace's budget.

Replicas share through Redis if HUB_CACHE_URL is set; otherwise this machine's worker processes share through files in
HUB_DATA_DIR. The threads of a process always share.
"""

import os
from pathlib import Path

from django.conf import settings

from .files import FileStore
from .layered import Layered
from .memory import MemoryStore
from .redis import RedisStore
from .store import Store

_layered: dict[int, Layered] = {}  # by process ID


def shared() -> Layered:
    """Return this process's stores, best first.

    A forked process gets new ones, because connections must not be inherited.
    """
    pid = os.getpid()
    # If several threads create one at the same time, the first stays and the others are never used.
    return _layered.get(pid) or _layered.setdefault(pid, Layered(_stores()))


def _stores() -> list[Store]:
    stores: list[Store] = [FileStore(folder()), MemoryStore()]
    if settings.HUB_CACHE_URL:
        stores.insert(0, RedisStore(settings.HUB_CACHE_URL))
    return stores


def forget() -> None:
    """Recreate the stores from the current settings, as in a new process."""
    shared().close()
    _layered.clear()


def folder() -> Path:
    return Path(settings.HUB_DATA_DIR) / "shared"


def sweep() -> None:
    """Remove unused files of earlier runs; called before the workers start."""
    FileStore(folder()).sweep()
