"""What scrapes share: one read under way, its result, and a namespace's budget.

Over replicas through Redis where HUB_CACHE_URL names one, else over the worker processes of this machine through files
below HUB_DATA_DIR, and over the threads of a process in any case.
"""

import os
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from .files import FileStore
from .layered import Layered
from .memory import MemoryStore
from .redis import RedisStore
from .store import Store


def shared() -> Layered:
    """Return this process's stores, best first. Not carried over a fork, as connections must not be."""
    return _layered(os.getpid())


@lru_cache(maxsize=1)
def _layered(pid: int) -> Layered:
    stores: list[Store] = [FileStore(folder()), MemoryStore()]
    if settings.HUB_CACHE_URL:
        stores.insert(0, RedisStore(settings.HUB_CACHE_URL))
    return Layered(stores)


def forget() -> None:
    """Take the stores that the settings name now, as a process that has just begun."""
    shared().close()
    _layered.cache_clear()


def folder() -> Path:
    return Path(settings.HUB_DATA_DIR) / "shared"


def sweep() -> None:
    """Remove what former runs left and nobody uses any more; called before the workers start."""
    FileStore(folder()).sweep()
