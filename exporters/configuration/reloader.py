"""Keep a process's configuration fresh; scrapes wait for that only briefly, if at all.

A background thread checks the version row at most every HUB_RELOAD_SECONDS, and reads what changed. While the database
doesn't respond, the last configuration stays in use, however long the outage lasts. A process that never had one uses
the copy on disk.
"""

import logging
import math
import os
import threading
import time

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection

from ..servicebus import clock
from . import loading
from .disk_copy import DiskCopy
from .loaded import Loaded
from .targets import Configuration

logger = logging.getLogger(__name__)

# References to files and variables can change without a change in the database.
_REFERENCES_SECONDS = 30.0
# A configuration older than this is not used while the database responds; a request waits for a fresh one.
_MAX_AGE_SECONDS = 5.0
# How long a request waits for the database if there is a fallback, and if there is none (longer than the pool waits for
# a connection, so that the pool's error comes first).
_PATIENCE_SECONDS = 1.0
_FIRST_PATIENCE_SECONDS = 5.0
# A request waits this long for a full reload; then it continues with the last configuration.
_SHORT_SECONDS = 0.05
# Scrapes continue during a full reload: after this much work, the reload rests for twice as long.
_SLICE_SECONDS = 0.001
_REST_SECONDS = 0.002


class ConfigurationUnavailable(DatabaseError):  # noqa: N818 - a state of the hub rather than a mistake in it
    """No usable configuration: the database has not responded yet, and there is no usable copy on disk."""


class Refresh(threading.Thread):
    """One check of the database, in the background; requests can wait for it."""

    def __init__(self, reloader: "Reloader") -> None:
        super().__init__(name="configuration", daemon=True)
        self._reloader = reloader
        self.over = threading.Event()
        # Set with `over` if a full reload takes long and there is a configuration to continue with.
        self.takes_long = False
        self._began_at = self._rested_at = 0.0

    def run(self) -> None:
        close_old_connections()
        try:
            self._reloader.look(self)
        finally:
            connection.close()
            self.over.set()

    def step(self) -> None:
        """Let other threads run, between two rows of a full reload."""
        if not self._reloader.is_known():
            return  # no scrapes to slow down yet
        now = time.perf_counter()
        if not self._began_at:
            self._began_at = self._rested_at = now
        if not self.takes_long and now - self._began_at > _SHORT_SECONDS:
            self.takes_long = True
            self.over.set()
        if now - self._rested_at > _SLICE_SECONDS:
            time.sleep(_REST_SECONDS)
            self._rested_at = time.perf_counter()


class Reloader:
    """Holds the configuration of one process. Thread-safe."""

    def __init__(self) -> None:
        self._copy = DiskCopy()
        self.forget()
        os.register_at_fork(after_in_child=self._after_fork)

    def forget(self) -> None:
        """Reset to the state of a new process."""
        self._configuration: Configuration | None = None
        self._loaded: Loaded | None = None  # also None while the configuration comes from the copy on disk
        self._right_at = -math.inf  # when the configuration was last known to be current
        self._looked_at_references_at = -math.inf
        self._dirty = False
        self._problem = ""  # the database's last error; empty while it responds
        self._copy.forget()
        self._after_fork()

    def _after_fork(self) -> None:
        """Replace what doesn't survive a fork: locks and threads."""
        self._lock = threading.RLock()
        self._refresh: Refresh | None = None

    def current(self) -> Configuration:
        """Return the configuration; raise ConfigurationUnavailable if there is none."""
        configuration = self._configuration
        if configuration is not None and not self._is_older_than(settings.HUB_RELOAD_SECONDS):
            return configuration
        if connection.in_atomic_block:
            # This transaction's writes are visible to it alone and may be rolled back: read them here, keep nothing.
            return loading.everything().configuration
        if configuration is None:
            self._wait_for_refresh(
                _FIRST_PATIENCE_SECONDS if not self._copy.path.exists() else _PATIENCE_SECONDS
            )
            self._fall_back()
        elif self._problem or not self._is_older_than(_MAX_AGE_SECONDS):
            self._begin_refresh()
        else:
            self._wait_for_refresh(_PATIENCE_SECONDS)
        configuration = self._configuration
        if configuration is None:
            raise ConfigurationUnavailable(
                f"The configuration can't be read: {self._problem or 'no response yet'}"
            )
        return configuration

    def warm_up(self) -> None:
        """Start to read the configuration, so that the first request finds it."""
        self._begin_refresh()

    def invalidate(self) -> None:
        """Check the database before the next answer, because this process has changed the configuration."""
        self._dirty = True

    def is_known(self) -> bool:
        """Return whether there is a configuration, even an old one."""
        return self._configuration is not None

    def age_seconds(self) -> float:
        """Return the seconds since the configuration was last known to be current; 0 before there is one."""
        return clock.now() - self._right_at if self._configuration is not None else 0.0

    def problem(self) -> str:
        """Return why the configuration can't be compared with the database; empty while it can."""
        return self._problem

    def _is_older_than(self, seconds: float) -> bool:
        return self._dirty or clock.now() - self._right_at > seconds

    def _begin_refresh(self) -> Refresh:
        """Return the running refresh, or start one."""
        with self._lock:
            if self._refresh is None or not self._refresh.is_alive():
                self._refresh = Refresh(self)
                self._refresh.start()
            return self._refresh

    def _wait_for_refresh(self, patience: float) -> None:
        """Read what changed; wait at most `patience` seconds for it."""
        deadline = time.monotonic() + patience
        while True:
            refresh = self._begin_refresh()
            if not refresh.over.wait(max(0.0, deadline - time.monotonic())):
                self._note_problem(f"the database has not responded within {patience:g} s")
                return
            # A refresh that was running when this process made a change may have missed it: run another one.
            if self._problem or refresh.takes_long or not self._dirty:
                return
            refresh.join(max(0.0, deadline - time.monotonic()))

    def look(self, refresh: Refresh) -> None:
        """Apply what changed; whatever the driver raises, the last configuration stays in use."""
        try:
            self._look(refresh)
        except Exception as error:
            self._note_problem(" ".join(str(error).split()) or type(error).__name__)
            return
        if self._problem:
            logger.info("The configuration can be read again.")
        self._problem = ""

    def _look(self, refresh: Refresh) -> None:
        now = clock.now()  # taken before reading, so that the next refresh sees later changes
        references = now - self._looked_at_references_at > _REFERENCES_SECONDS
        was_dirty, self._dirty = self._dirty, False
        try:
            loaded = loading.read(self._loaded, refresh.step, look_at_references=references)
        except BaseException:
            self._dirty = was_dirty or self._dirty
            raise
        with self._lock:
            self._loaded, self._configuration, self._right_at = loaded, loaded.configuration, now
            if references:
                self._looked_at_references_at = now
        if connection.vendor != "sqlite":  # SQLite's own file is in the same folder as the copy
            self._copy.keep(loaded, refresh.step)

    def _note_problem(self, problem: str) -> None:
        if not self._problem:
            known = self._configuration is not None
            consequence = "continuing with the last one" if known else "there is none yet"
            logger.error("Can't read the configuration, %s: %s", consequence, problem)
        self._problem = problem

    def _fall_back(self) -> None:
        if self._configuration is not None or connection.vendor == "sqlite":
            return
        with self._lock:  # only one of the waiting threads reads the copy
            if self._configuration is not None:
                return
            found = self._copy.read()
            # The database may have answered in the meantime.
            if found is not None and self._configuration is None:
                self._configuration, age = found
                self._right_at = clock.now() - age
                logger.warning("Continuing with the disk copy, last known to be current %.0f s ago.", age)


reloader = Reloader()
