"""The store of one machine: small files below HUB_DATA_DIR, and the kernel's locks on them.

A lock belongs to its open file, so a process that is killed has given its locks up by that. Nothing waits: a lock is
held for the time of reading and writing one small file (some 20 microseconds), and a lease is taken or not.

The time of this store is the machine's clock since its start, so what an earlier start left is not used: each start has
a folder of its own.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from ..servicebus import clock
from .store import MAX_SHARED_VALUE_BYTES, Change, Kept, Lease, StoreError, checked, use_everything

T = TypeVar("T")

_VALUE, _LEASE, _RESULT = ".value", ".lease", ".result"
# What nobody has touched for this long belongs to a namespace that is not scraped any more.
_OLD_SECONDS = 86_400
# Of a result: its stamp, and the moment at which its age was 0.
_HEAD = struct.Struct("<64sd")


class FileStore:
    name = "files"
    waits = False

    def __init__(self, folder: Path, boot_id: str | None = None) -> None:
        self._parent = folder
        self._folder = folder / (boot_id or clock.boot_id())

    def update(self, key: str, change: Change[T], seconds: float) -> T:
        with _as_store_error(), self._opened(key + _VALUE) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            found = checked(os.pread(descriptor, MAX_SHARED_VALUE_BYTES + 1, 0))
            changed, result = change(found or None, clock.now())
            # A value that could be written in part only, as on a full disk, is dropped rather than left damaged.
            if os.pwrite(descriptor, checked(changed), 0) != len(changed):
                os.ftruncate(descriptor, 0)
                raise StoreError("A shared value could not be written.")
            if len(found) > len(changed):
                os.ftruncate(descriptor, len(changed))
            return result

    def lease(self, key: str, seconds: float) -> Lease | None:
        with _as_store_error():
            descriptor = self._open(key + _LEASE)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except OSError:
                os.close(descriptor)
                raise
            return _FileLease(descriptor)

    def is_leased(self, key: str) -> bool:
        with _as_store_error(), self._opened(key + _LEASE) as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def put(self, key: str, kept: Kept, seconds: float) -> None:
        with _as_store_error():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_HEAD.pack(kept.stamp.encode("ascii"), clock.now() - kept.age_seconds))
                    file.write(kept.body)
                # One step, and no fsync: after a power cut there is nothing to share.
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
        """Remove what an earlier start of the machine left, and what nobody has written for long.

        Called before scrapes begin: a lease's file that is removed under its holder protects nothing.
        """
        with contextlib.suppress(OSError):
            for path in self._parent.iterdir():
                if path.is_dir() and path != self._folder:
                    shutil.rmtree(path, ignore_errors=True)
            for path in self._folder.iterdir():
                if path.stat().st_mtime < time.time() - _OLD_SECONDS:
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

    def _open(self, name: str) -> int:
        path = self._folder / name
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
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
            os.close(descriptor)  # and its lock with it


def _opened_head(found: bytes) -> tuple[str, float]:
    try:
        stamp, at = _HEAD.unpack_from(found)
    except struct.error:
        raise StoreError("A kept result is damaged.") from None
    return stamp.rstrip(b"\0").decode("ascii", "replace"), at


class _FileLease:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def renew(self) -> None:
        """Nothing to do: it lives as long as this process holds it."""

    def release(self) -> None:
        os.close(self._descriptor)


@contextlib.contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(error.strerror or type(error).__name__) from None
