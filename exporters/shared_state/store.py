"""Where scrapes keep what they share: small values, results, and leases on a read that is under way.

Three stores do the same in different reach: Redis for replicas, files for the worker processes of one machine, memory
for the threads of one process. `layered.Layered` uses the first that works.

Each store has its own time, which all who use it have in common: Redis its server's, files and memory the machine's
clock since its start. Ages are differences of a store's own times, so no machine's date plays a part in them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

# A budget is 97 bytes long.
MAX_SHARED_VALUE_BYTES = 4_096

T = TypeVar("T")
# Given a value (None: there is none) and the store's time in seconds; returns the new value and a result.
Change = Callable[[bytes | None, float], tuple[bytes, T]]


class StoreError(Exception):
    """The store can't do it at this moment; the message holds no address and no secret."""


class Lease(Protocol):
    """The right to read a namespace alone. Ends with its process, or soon after it."""

    def release_unless_wanted(self) -> bool:
        """Give it up unless a process waits for the result; return whether it was given up."""
        ...

    def release(self) -> None:
        """Give it up, and notify the processes that wait for its end."""
        ...


class Listener(Protocol):
    """Where a process is notified of the ends of leases that it was refused."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is something to read."""
        ...

    def read(self) -> list[str]:
        """Return the keys of leases that have ended, without waiting. One may be held again by now."""
        ...

    def close(self) -> None:
        """Listen no longer."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A result, as a store has kept it."""

    stamp: str
    body: bytes
    age_seconds: float  # below 0 when the store's clock was set back since


class Store(Protocol):
    """Keys are hex digests. Everything raises StoreError when the store is out of order."""

    name: str
    # Whether a call may wait for a network, and so must not be made on an event loop.
    waits: bool

    def update(self, key: str, change: Change[T], seconds: float) -> T:
        """Replace a small value by what `change` makes of it, alone; keep it for so many seconds at least.

        `change` is given the value and the store's time in seconds, and may be called more than once. Returns its
        second result. A value is at most MAX_SHARED_VALUE_BYTES long.
        """
        ...

    def lease(self, key: str, seconds: float, wanted_seconds: float) -> Lease | None:
        """Return the lease, None when it is held already.

        `seconds`: for how long it lives without a renewal. `wanted_seconds`: for how long a process that is refused
        waits for its end, and wants the result.
        """
        ...

    def renew(self, leases: Sequence[Any]) -> None:
        """Let these leases of this store live on; those that were lost meanwhile stay lost."""
        ...

    def ended(self, keys: Sequence[str]) -> list[str]:
        """Return those of the keys whose lease nobody holds."""
        ...

    def listen(self) -> Listener:
        """Begin to listen for the ends of leases that this process was refused or will be."""
        ...

    def put(self, key: str, kept: Kept, seconds: float) -> None:
        """Keep a result under a stamp that tells it from others, until it is at least so many seconds old."""
        ...

    def stamp(self, key: str) -> str | None:
        """Return the stamp of the result that is kept."""
        ...

    def get(self, key: str) -> Kept | None:
        """Return the result that is kept, with its age at this moment."""
        ...

    def forget(self, key: str) -> None:
        """Drop the result that is kept."""
        ...

    def probe(self) -> None:
        """Use everything that scrapes need once; raise StoreError if any of it fails."""
        ...


def checked(value: bytes) -> bytes:
    """Return a small value; raise StoreError if it is too long to be one."""
    if len(value) > MAX_SHARED_VALUE_BYTES:
        raise StoreError(f"A shared value is longer than {MAX_SHARED_VALUE_BYTES} bytes.")
    return value


def use_everything(store: Store, key: str, seconds: float) -> None:
    """Run all methods of a store once, as its probe; what is left of the key is kept for so many seconds."""
    store.update(key, lambda found, now: (b"probe", None), seconds)
    listener = store.listen()
    try:
        lease = store.lease(key, seconds, seconds)
        if lease is not None:  # another process probes at this moment
            store.lease(key, seconds, seconds)
            store.renew([lease])
            lease.release_unless_wanted()
            lease.release()
        listener.read()
    finally:
        listener.close()
    store.ended([key])
    store.put(key, Kept("probe", b"probe", 0.0), seconds)
    store.stamp(key)
    store.get(key)
    store.forget(key)
