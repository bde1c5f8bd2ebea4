"""Keeps the configuration of a process fresh, without ever letting a scrape wait for a database that is gone.

A version row is asked at most every HUB_CATALOG_SECONDS; when it moved, everything is read anew, aside from
the requests. While the database doesn't answer, the last configuration goes on for as long as the outage
lasts; a process that never had one takes the copy on disk.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection

from .outage import OutageCopy

logger = logging.getLogger(__name__)

# References to files can change without the database; rereading everything this often picks that up.
_FULL_RELOAD_SECONDS = 30.0
# A configuration that is older than this is not used while the database lives; a request waits for the fresh one.
_MAX_AGE_SECONDS = 5.0
# For how long a request waits for the database when there is something to fall back on, and when there is
# nothing (more than the pool waits for a connection, so that its own error comes first).
_PATIENCE_SECONDS = 1.0
_FIRST_PATIENCE_SECONDS = 5.0


class Versioned(Protocol):
    @property
    def version(self) -> int: ...


T = TypeVar("T", bound=Versioned)


class ConfigurationUnavailable(DatabaseError):  # noqa: N818 - a state of the hub rather than a mistake in it
    """There is no configuration to go on from: no answer of the database yet, and no usable copy."""


class Keeper(Generic[T]):
    """Holds one process's configuration, made by `load`; safe to be asked by many threads."""

    def __init__(self, load: Callable[[], T], read_version: Callable[[], int], copy: OutageCopy[T]) -> None:
        self._read_everything = load
        self._read_version = read_version
        self._copy = copy
        self.forget()

    def forget(self) -> None:
        """Start over, as a process that has just begun."""
        self._configuration: T | None = None
        self._right_at = -math.inf  # monotonic: when the configuration was last known to be right
        self._loaded_at = -math.inf  # monotonic: when all of it was read
        self._dirty = False
        self._problem = ""  # what the database last failed with; empty while it answers
        self._lock = threading.RLock()
        self._refresher: threading.Thread | None = None
        self._pid = os.getpid()

    def current(self) -> T:
        """Return the configuration; raise ConfigurationUnavailable when there is none to be had."""
        self._mind_fork()
        configuration = self._configuration
        if configuration is not None and not self._is_older_than(settings.HUB_CATALOG_SECONDS):
            return configuration
        if connection.in_atomic_block:
            # What this transaction wrote is visible to it alone and may be rolled back: read it here, keep nothing.
            return self._read_everything()
        if configuration is None:
            self._refresh(_FIRST_PATIENCE_SECONDS if not self._copy.path.exists() else _PATIENCE_SECONDS)
            self._fall_back()
        elif self._problem or not self._is_older_than(_MAX_AGE_SECONDS):
            self._refresh(0)
        else:
            self._refresh(_PATIENCE_SECONDS)
        configuration = self._configuration
        if configuration is None:
            raise ConfigurationUnavailable(
                f"The configuration can't be read: {self._problem or 'no answer yet'}"
            )
        return configuration

    def warm_up(self) -> None:
        """Begin to read the configuration, so that the first request finds it."""
        self._mind_fork()
        self._refresh(0)

    def invalidate(self) -> None:
        """Read anew before the next answer: this process has changed the configuration itself."""
        self._dirty = True

    def age_seconds(self) -> float:
        """Return how long ago the configuration was last known to be right; 0 before there is one."""
        return time.monotonic() - self._right_at if self._configuration is not None else 0.0

    def problem(self) -> str:
        """Return why the configuration can't be held against the database; empty while it can."""
        return self._problem

    def _mind_fork(self) -> None:
        if self._pid != os.getpid():  # locks and threads don't survive a fork
            self._lock, self._refresher, self._pid = threading.RLock(), None, os.getpid()

    def _is_older_than(self, seconds: float) -> bool:
        return self._dirty or time.monotonic() - self._right_at > seconds

    def _refresh(self, patience: float) -> None:
        """Read what changed; wait so many seconds for it at most."""
        if connection.vendor == "sqlite":
            # A file doesn't hang as a network does: it is read here. Who need not wait leaves it to who came first.
            if self._lock.acquire(blocking=patience > 0):
                try:
                    if self._configuration is None or self._is_older_than(settings.HUB_CATALOG_SECONDS):
                        self._try_refresh()
                finally:
                    self._lock.release()
            return
        deadline = time.monotonic() + patience
        while True:
            with self._lock:
                if self._refresher is None or not self._refresher.is_alive():
                    self._refresher = threading.Thread(
                        target=self._refresh_aside, name="configuration", daemon=True
                    )
                    self._refresher.start()
                refresher = self._refresher
            if patience == 0:
                return
            refresher.join(max(0.0, deadline - time.monotonic()))
            if refresher.is_alive():
                self._note_problem(f"the database has not answered within {patience:g} s")
                return
            # A refresh that was under way when this process made a change may have missed it: then once more.
            if self._problem or not self._dirty:
                return

    def _refresh_aside(self) -> None:
        close_old_connections()
        try:
            self._try_refresh()
        finally:
            connection.close()

    def _try_refresh(self) -> None:
        try:
            self._refresh_now()
        except Exception as error:  # whatever the driver raises: the last configuration goes on
            self._note_problem(" ".join(str(error).split()) or type(error).__name__)
            return
        if self._problem:
            logger.info("The configuration can be read again.")
        self._problem = ""

    def _note_problem(self, problem: str) -> None:
        if not self._problem:
            known = self._configuration is not None
            consequence = "going on with the last one" if known else "there is none yet"
            logger.error("The configuration can't be read, %s: %s", consequence, problem)
        self._problem = problem

    def _refresh_now(self) -> None:
        now = time.monotonic()  # before the reading: what changes after it is seen by the next one
        known = self._configuration
        unchanged = (
            known is not None
            and not self._dirty
            # Never true of a configuration that came from the copy: all of it is read when the database is back.
            and now - self._loaded_at < _FULL_RELOAD_SECONDS
            and self._read_version() == known.version
        )
        fresh = known if unchanged else self._read_dirty()
        assert fresh is not None  # noqa: S101 - known, or just read
        with self._lock:
            self._configuration, self._right_at = fresh, now
            if not unchanged:
                self._loaded_at = now
        if connection.vendor != "sqlite" and (fresh != known or not self._copy.confirm()):
            self._copy.write(fresh)

    def _read_dirty(self) -> T:
        self._dirty = False
        try:
            return self._read_everything()
        except BaseException:
            self._dirty = self._configuration is not None
            raise

    def _fall_back(self) -> None:
        if self._configuration is not None or connection.vendor == "sqlite":
            return
        found = self._copy.read()
        if found is None:
            return
        configuration, age = found
        with self._lock:
            if self._configuration is None:  # the database may have answered in the meantime
                self._configuration, self._right_at = configuration, time.monotonic() - age
                logger.warning("Going on with the copy on disk, last known to be right %.0f s ago.", age)
