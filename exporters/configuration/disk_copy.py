"""The configuration's copy on disk, for a process that starts while the database is down.

The copy is one SQLite file in HUB_DATA_DIR with a row per object, so that an update writes only what changed. Each row
is encrypted with the key ring and bound to its position and its database, so the copy of another database is never
used. The file's modification time is when the copy was last known to be current. A hub on SQLite needs no copy, because
its database is in the same folder.
"""

import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings

from ..credentials.encryption import Sealed, UndecryptableError, key_ring
from ..models import Version
from .loaded import KnownCredential, Loaded, configuration_of
from .targets import Configuration, Grant, Target

logger = logging.getLogger(__name__)

FILE_NAME = "configuration.sealed"
_KINDS: dict[str, Any] = {"teams": str, "targets": Target, "grants": Grant, "credentials": KnownCredential}
# Rows of other versions of the hub have other fields. They are read as far as they fit, but rewritten when possible.
_SHAPE = hashlib.sha256(
    repr([msgspec.inspect.type_info(kind) for kind in _KINDS.values()]).encode()
).hexdigest()
_SCHEMA = "CREATE TABLE IF NOT EXISTS copy (kind TEXT, pk INTEGER, sealed TEXT, PRIMARY KEY (kind, pk)) WITHOUT ROWID"
_PUT = "INSERT OR REPLACE INTO copy VALUES (?, ?, ?)"
_STATE = "state"
# How long a reader waits while a worker process writes changes.
_READER_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class State:
    """What a complete copy contains."""

    number: int
    mark: int
    references: str  # a digest of the files and variables that secrets were read from
    counts: Mapping[str, int]
    shape: str = ""  # of the rows; empty in copies of versions that did not store it


class DiskCopy:
    """Keeps the configuration in a file that worker processes share. Never raises: the copy is optional."""

    def __init__(self) -> None:
        self._failing = False
        self.forget()

    def forget(self) -> None:
        """Reset to the state of a new process."""
        self._kept: Loaded | None = None  # what this process last wrote to the file
        self._referring: object = None
        self._references = ""

    @property
    def path(self) -> Path:
        return Path(settings.HUB_DATA_DIR) / FILE_NAME

    def keep(self, loaded: Loaded, step: Callable[[], None] = lambda: None) -> None:
        """Update the copy to this configuration, or record that it is current.

        `step` is called between rows.
        """
        try:
            if loaded is not self._kept or not self.path.exists():
                self._bring_up(loaded, step)
            os.utime(self.path)
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                return  # another process is writing it; the next check tries again
            self._kept = None
            if not self._failing:
                logger.warning("Can't write the configuration's disk copy: %s", error)
            self._failing = True
        except ValueError:
            # Don't log the error's text: it can contain values.
            self._kept = None
            if not self._failing:
                logger.warning(
                    "Can't write the configuration's disk copy: it has a value that is not valid text."
                )
            self._failing = True
        else:
            self._failing = False

    def _bring_up(self, loaded: Loaded, step: Callable[[], None]) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Created with these permissions, so it is never readable by others.
        os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        try:
            self._write(loaded, step)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # damaged, or in another format
            self.path.unlink()
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
            self._write(loaded, step)
        self._kept = loaded

    def _write(self, loaded: Loaded, step: Callable[[], None]) -> None:
        with closing(sqlite3.connect(self.path, timeout=0, isolation_level=None)) as file:
            # Safe without syncing: a copy damaged by a power cut doesn't decrypt or lacks rows, so it is not used.
            file.execute("PRAGMA synchronous=OFF")
            file.execute("BEGIN IMMEDIATE")
            file.execute(_SCHEMA)
            state, wanted = _state(file), self._wanted(loaded)
            if self._kept is None and state == wanted:
                return
            if self._can_be_brought_up(state, loaded):
                changed = _difference(self._kept, loaded)
            else:
                file.execute("DELETE FROM copy")
                changed = _difference(None, loaded)
            file.executemany(_PUT, _sealed_rows(changed, loaded, step))
            file.executemany(
                "DELETE FROM copy WHERE kind = ? AND pk = ?",
                [(kind, pk) for kind, pk in changed if pk not in getattr(loaded, kind)],
            )
            file.execute(_PUT, (_STATE, 0, _seal(_STATE, 0, wanted)))
            file.execute("COMMIT")

    def _can_be_brought_up(self, state: "State | None", loaded: Loaded) -> bool:
        """Return whether writing the changes is enough: this process wrote the file, or another updated it since."""
        known = self._kept
        return (
            state is not None
            and known is not None
            and known.ring is loaded.ring
            and state.shape == _SHAPE
            and known.version.number <= state.number <= loaded.version.number
        )

    def _wanted(self, loaded: Loaded) -> "State":
        if self._referring is not loaded.references:  # the same object while no file has changed
            self._referring = loaded.references
            self._references = hashlib.sha256(repr(sorted(loaded.references.items())).encode()).hexdigest()
        counts = {kind: len(getattr(loaded, kind)) for kind in _KINDS}
        return State(loaded.version.number, loaded.version.mark, self._references, counts, _SHAPE)

    def read(self) -> tuple[Configuration, float] | None:
        """Return the copy and the seconds since it was last known to be current; None if there is no usable copy."""
        if not self.path.exists():
            return None
        try:
            age = max(0.0, time.time() - self.path.stat().st_mtime)
            address = f"{self.path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=_READER_SECONDS)) as file:
                return _read(file), age
        except (OSError, sqlite3.OperationalError) as error:
            logger.warning("Can't read the configuration's disk copy: %s", error)
        except (UndecryptableError, sqlite3.DatabaseError):
            logger.warning(
                "Not using the configuration's disk copy: it was made with other encryption keys or for another "
                "database, or is damaged."
            )
        except ValueError:
            # Don't log the error's text: it can contain values.
            logger.warning(
                "Not using the configuration's disk copy: it was written by another version of the hub."
            )
        return None


def _read(file: sqlite3.Connection) -> Configuration:
    state: State | None = None
    parts: dict[str, dict[int, Any]] = {kind: {} for kind in _KINDS}
    for kind, pk, sealed in file.execute("SELECT kind, pk, sealed FROM copy"):
        if kind == _STATE:
            state = _open(State, kind, pk, sealed)
        else:
            parts[kind][pk] = _open(_KINDS[kind], kind, pk, sealed)
    if state is None or {kind: len(found) for kind, found in parts.items()} != state.counts:
        raise UndecryptableError("the configuration's disk copy")
    return configuration_of(
        Version(state.number, state.mark),
        parts["teams"],
        parts["targets"],
        parts["grants"],
        parts["credentials"],
    )


def _state(file: sqlite3.Connection) -> State | None:
    """Return the state of the file; None if it is empty, or belongs to another database or other keys."""
    row = file.execute("SELECT sealed FROM copy WHERE kind = ? AND pk = 0", (_STATE,)).fetchone()
    try:
        return _open(State, _STATE, 0, row[0]) if row else None
    except (UndecryptableError, ValueError):
        return None


def _difference(known: Loaded | None, loaded: Loaded) -> list[tuple[str, int]]:
    """Return the kind and primary key of each changed object; unchanged objects are the same instance in both."""
    changed: list[tuple[str, int]] = []
    for kind in _KINDS:
        old, new = getattr(known, kind, {}), getattr(loaded, kind)
        if old is not new:
            changed += [(kind, pk) for pk, item in new.items() if old.get(pk) is not item]
            changed += [(kind, pk) for pk in old if pk not in new]
    return changed


def _sealed_rows(
    changed: Iterable[tuple[str, int]], loaded: Loaded, step: Callable[[], None]
) -> Iterator[tuple[str, int, str]]:
    for kind, pk in changed:
        item = getattr(loaded, kind).get(pk)
        if item is not None:
            yield kind, pk, _seal(kind, pk, item)
            step()


def _seal(kind: str, pk: int, item: Any) -> str:
    return key_ring().seal(msgspec.json.encode(item).decode(), _binding(kind, pk)).ciphertext


def _open(hint: Any, kind: str, pk: int, sealed: str) -> Any:
    return msgspec.json.decode(key_ring().open(Sealed(sealed), _binding(kind, pk)), type=hint)


def _binding(kind: str, pk: int) -> str:
    database = settings.DATABASES["default"]
    identity = [str(database.get(key) or "") for key in ("ENGINE", "HOST", "PORT", "NAME")]
    return f"configuration copy of {hashlib.sha256(chr(0).join(identity).encode()).hexdigest()} {kind} {pk}"
