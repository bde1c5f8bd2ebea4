"""What scrapes share: one read under way, its result, and a namespace's budget.

Over replicas through Redis where HUB_CACHE_URL names one, else over the worker processes of this machine through files
below HUB_DATA_DIR, and over the threads of a process in any case.
"""

import os
from pathlib import Path

from django.conf import settings

from .files import FileStore
from .layered import Layered
from .memory import MemoryStore
from .redis import RedisStore
from .store import Store

_layered: dict[int, Layered] = {}  # by process


def shared() -> Layered:
    """Return this process's stores, best first. Not carried over a fork, as connections must not be."""
    pid = os.getpid()
    # Of several that threads make at once the first stays, and the others are never used.
    return _layered.get(pid) or _layered.setdefault(pid, Layered(_stores()))


def _stores() -> list[Store]:
    stores: list[Store] = [FileStore(folder()), MemoryStore()]
    if settings.HUB_CACHE_URL:
        stores.insert(0, RedisStore(settings.HUB_CACHE_URL))
    return stores


def forget() -> None:
    """Take the stores that the settings name now, as a process that has just begun."""
    shared().close()
    _layered.clear()


def folder() -> Path:
    return Path(settings.HUB_DATA_DIR) / "shared"


def sweep() -> None:
    """Remove what former runs left and nobody uses any more; called before the workers start."""
    FileStore(folder()).sweep()
