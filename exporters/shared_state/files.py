"""The store for one machine: small files in HUB_DATA_DIR, and kernel locks on them.

A lock belongs to its open file, so a killed process releases its locks. Nothing waits for long: a lock is only held
while reading and writing one small file (about 20 microseconds), and a lease is either taken or not.

A process that is refused a lease appends the name of its pipe, a FIFO, to the lease's file. When the holder ends the
lease, it reads the names and writes the key into each pipe.

The store's time is the machine's clock since boot. Data from an earlier boot is not used: each boot has its own folder.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..servicebus import clock
from .store import MAX_SHARED_VALUE_BYTES, Change, Kept, Lease, StoreError, checked, use_everything
from .wake_up_pipe import WakeUpPipe, wake_up_line

T = TypeVar("T")

_VALUE, _LEASE, _RESULT = ".value", ".lease", ".result"
# Read at most this much of the pipe names in a lease's file: about 100 processes.
_NAMES_BYTES = 4096
# A waiting process: its pipe, and the time until which it waits.
_WAITING = re.compile(r"([0-9a-f]{16}) ([0-9]{1,12}\.[0-9]{3})")
# Anything untouched for this long belongs to a namespace that is no longer scraped.
_OLD_SECONDS = 86_400
# The head of a result: its stamp, and the time at which its age was 0.
_HEAD = struct.Struct("<64sd")


class FileStore:
    name = "files"
    waits = False

    def __init__(self, folder: Path, boot_id: str | None = None) -> None:
        self._parent = folder
        self._folder = folder / (boot_id or clock.boot_id())
        self._pipes = self._folder / "pipes"
        self._pipe = secrets.token_hex(8)

    def update(self, key: str, change: Change[T], seconds: float) -> T:
        with _as_store_error(), self._opened(key + _VALUE) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            found = checked(os.pread(descriptor, MAX_SHARED_VALUE_BYTES + 1, 0))
            changed, result = change(found or None, clock.now())
            # If only part of a value could be written, for example on a full disk, drop it instead of leaving it
            # damaged.
            if os.pwrite(descriptor, checked(changed), 0) != len(changed):
                os.ftruncate(descriptor, 0)
                raise StoreError("A shared value could not be written.")
            if len(found) > len(changed):
                os.ftruncate(descriptor, len(changed))
            return result

    def lease(self, key: str, seconds: float, wanted_seconds: float) -> Lease | None:
        with _as_store_error():
            descriptor = self._open(key + _LEASE, os.O_APPEND)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                try:
                    os.write(descriptor, f"{self._pipe} {clock.now() + wanted_seconds:.3f}\n".encode())
                finally:
                    os.close(descriptor)
                return None
            except OSError:
                os.close(descriptor)
                raise
            return _FileLease(descriptor, self._pipes, key)

    def renew(self, leases: Sequence[Any]) -> None:
        """Do nothing: a lease lives as long as its process."""

    def ended(self, keys: Sequence[str]) -> list[str]:
        with _as_store_error():
            return [key for key in keys if not self._is_leased(key)]

    def listen(self) -> WakeUpPipe:
        with _as_store_error():
            self._pipes.mkdir(mode=0o700, parents=True, exist_ok=True)
            for former in self._pipes.iterdir():
                _write_to(former, b"")  # removes those of ended processes
            made = self._folder / f"{self._pipe}.new"
            made.unlink(missing_ok=True)
            os.mkfifo(made, 0o600)
            # Open for writing too: otherwise the pipe would end whenever no writer has it open.
            pipe = WakeUpPipe(os.open(made, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
            try:
                # Only now, because others remove a pipe that nobody has open.
                os.replace(made, self._pipes / self._pipe)
            except BaseException:
                pipe.close()
                raise
            return pipe

    def put(self, key: str, kept: Kept, seconds: float) -> None:
        with _as_store_error():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_HEAD.pack(kept.stamp.encode("ascii"), clock.now() - kept.age_seconds))
                    file.write(kept.body)
                # Atomic, but without fsync: after a power cut there is nothing to share.
                os.replace(name, self._folder / (key + _RESULT))
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)
                raise

    def stamp(self, key: str) -> str | None:
        found = self._read(key, _HEAD.size)
        return None if found is None else _opened_head(found)[0]

    def get(self, key: str) -> Kept | None:
        found = self._read(key)
        if found is None:
            return None
        stamp, at = _opened_head(found)
        return Kept(stamp, found[_HEAD.size :], clock.now() - at)

    def forget(self, key: str) -> None:
        with _as_store_error():
            (self._folder / (key + _RESULT)).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove files of earlier boots, and those that have not been written for long.

        Call it before scrapes begin: a lease protects nothing once its file is removed.
        """
        with contextlib.suppress(OSError):
            for path in self._parent.iterdir():
                if path.is_dir() and path != self._folder:
                    shutil.rmtree(path, ignore_errors=True)
            for path in self._folder.iterdir():
                if path != self._pipes and path.stat().st_mtime < time.time() - _OLD_SECONDS:
                    path.unlink(missing_ok=True)

    def probe(self) -> None:
        """See Store."""
        use_everything(self, "probe", 1.0)

    def _read(self, key: str, length: int = -1) -> bytes | None:
        with _as_store_error():
            try:
                with open(self._folder / (key + _RESULT), "rb") as file:
                    return file.read(length)
            except FileNotFoundError:
                return None

    def _is_leased(self, key: str) -> bool:
        with self._opened(key + _LEASE) as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def _open(self, name: str, more_flags: int = 0) -> int:
        path = self._folder / name
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | more_flags
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(path, flags, 0o600)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        descriptor = self._open(name)
        try:
            yield descriptor
        finally:
            os.close(descriptor)  # this also releases its lock


def _opened_head(found: bytes) -> tuple[str, float]:
    try:
        stamp, at = _HEAD.unpack_from(found)
    except struct.error:
        raise StoreError("A stored result is damaged.") from None
    return stamp.rstrip(b"\0").decode("ascii", "replace"), at


class _FileLease:
    def __init__(self, descriptor: int, pipes: Path, key: str) -> None:
        self._descriptor = descriptor
        self._pipes = pipes
        self._key = key

    def release_unless_wanted(self) -> bool:
        if self._descriptor < 0:
            return True
        with _as_store_error():
            lines = self._lines()
            if _waiting(lines):
                return False
            self._release(lines)
        return True

    def release(self) -> None:
        if self._descriptor < 0:
            return
        with _as_store_error():
            self._release(self._lines())

    def _lines(self) -> bytes:
        return os.pread(self._descriptor, _NAMES_BYTES, 0)

    def _release(self, lines: bytes) -> None:
        try:
            if lines:
                # A name added between the two calls is lost. That process then finds the end in its check of all
                # leases.
                os.ftruncate(self._descriptor, 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            lines += self._lines()  # names added before the lease ended
        finally:
            os.close(self._descriptor)
            self._descriptor = -1
        for name in _waiting(lines):
            _write_to(self._pipes / name, wake_up_line(self._key))


def _waiting(lines: bytes) -> set[str]:
    """Return the pipe names of the processes that are currently waiting."""
    names = set()
    for line in lines.decode("ascii", "replace").splitlines():
        found = _WAITING.fullmatch(line)
        if found and float(found[2]) > clock.now():
            names.add(found[1])
    return names


def _write_to(pipe: Path, text: bytes) -> None:
    """Write into a pipe; remove it if its process has ended."""
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody reads it
            pipe.unlink(missing_ok=True)
        return
    try:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # the check of all leases makes up for it
            os.write(descriptor, text)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(error.strerror or type(error).__name__) from None
