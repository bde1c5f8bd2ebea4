"""What the processes and replicas of a hub share: a read under way, its result, and a namespace's budget.

Replicas share through Redis if HUB_REDIS_URL is set; otherwise this machine's worker processes share through files in
HUB_DATA_DIR. The threads of a process always share.
A store keeps bytes and leases; what they mean is decided in `scraping`.
"""

import os
from pathlib import Path

from django.conf import settings

from .files import FileStore
from .layered import Layered
from .memory import MemoryStore
from .redis import RedisStore
from .store import Store

_layered: list[Layered] = []  # created on first use
os.register_at_fork(after_in_child=_layered.clear)  # connections must not be inherited


def shared() -> Layered:
    """Return this process's stores, best first."""
    if not _layered:
        # If several threads create one at the same time, the first stays and the others are never used.
        _layered.append(Layered(_stores()))
    return _layered[0]


def _stores() -> list[Store]:
    stores: list[Store] = [FileStore(folder()), MemoryStore()]
    if settings.HUB_REDIS_URL:
        stores.insert(0, RedisStore(settings.HUB_REDIS_URL))
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
