"""The store of one machine: small files below HUB_DATA_DIR, and the kernel's locks on them.

A lock belongs to its open file, so a process that is killed has given its locks up by that. Nothing waits: a lock is
held for the time of reading and writing one small file (some 20 microseconds), and a lease is taken or not.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from .store import Lease, StoreError

T = TypeVar("T")

_VALUE, _LEASE, _RESULT = ".value", ".lease", ".result"
# What nobody has touched for this long belongs to a namespace that is not scraped any more.
_OLD_SECONDS = 86_400
_STAMP_LENGTH = 64


class FileStore:
    name = "files"
    waits = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def update(self, key: str, change: Callable[[bytes | None], tuple[bytes, T]], seconds: float) -> T:
        with _as_store_error(), self._opened(key + _VALUE) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            changed, result = change(os.pread(descriptor, 65_536, 0) or None)
            os.pwrite(descriptor, changed, 0)
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

    def put(self, key: str, stamp: str, body: bytes, seconds: float) -> None:
        with _as_store_error():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(stamp.ljust(_STAMP_LENGTH).encode("ascii") + body)
                # One step, and no fsync: after a power cut there is nothing to share.
                os.replace(name, self._folder / (key + _RESULT))
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)
                raise

    def stamp(self, key: str) -> str | None:
        found = self._read(key, _STAMP_LENGTH)
        return None if found is None else found.decode("ascii").strip()

    def get(self, key: str) -> tuple[str, bytes] | None:
        found = self._read(key)
        if found is None:
            return None
        return found[:_STAMP_LENGTH].decode("ascii").strip(), found[_STAMP_LENGTH:]

    def forget(self, key: str) -> None:
        with _as_store_error():
            (self._folder / (key + _RESULT)).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what is old.

        Called before scrapes begin: a lease's file that is removed under its holder protects nothing.
        """
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path.stat().st_mtime < time.time() - _OLD_SECONDS:
                    path.unlink(missing_ok=True)

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
