"""Where scrapes keep what they share: small values, results, and leases on reads under way.

Three stores do the same with different reach: Redis for replicas, files for one machine's worker processes, memory for
the threads of one process. `layered.Layered` uses the first that works.

Each store has its own clock, common to all its users: Redis its server's, files and memory the machine's clock since
boot. Ages are differences between times of the same store, so they don't depend on any machine's date.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

# A budget has at most 112 bytes, and a failure that is remembered 3,700.
MAX_SHARED_VALUE_BYTES = 4_096

T = TypeVar("T")
# Takes a value (None if there is none) and the store's time in seconds; returns the new value and a result.
Change = Callable[[bytes | None, float], tuple[bytes, T]]


class StoreError(Exception):
    """The store currently doesn't work; the message contains no address and no secret."""


class Lease(Protocol):
    """The exclusive right to read a namespace. Ends with its process, or soon after."""

    def release_unless_wanted(self) -> bool:
        """Release the lease unless a process waits for the result; return whether it was released."""
        ...

    def release(self) -> None:
        """Release the lease, and notify the processes that wait for its end."""
        ...


class Listener(Protocol):
    """Notifies a process of the ends of leases that it was refused."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is something to read."""
        ...

    def read(self) -> list[str]:
        """Return the keys of ended leases, without waiting. Some may already be held again."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A result as kept by a store."""

    stamp: str
    body: bytes
    age_seconds: float  # negative if the store's clock was set back since


class Store(Protocol):
    """Keys are hex digests. All methods raise StoreError if the store doesn't work."""

    name: str
    # Whether calls may wait for a network, and so must not be made on an event loop.
    waits: bool

    def update(self, key: str, change: Change[T], seconds: float) -> T:
        """Atomically replace a small value with the result of `change`; keep it for at least `seconds` seconds.

        `change` gets the value and the store's time in seconds, and may be called more than once. Returns its second
        result. A value has at most MAX_SHARED_VALUE_BYTES bytes.
        """
        ...

    def lease(self, key: str, seconds: float, wanted_seconds: float) -> Lease | None:
        """Return the lease, or None if it is already held.

        `seconds` is how long it lives without a renewal. `wanted_seconds` is how long a process that is refused waits
        for its end, and wants the result.
        """
        ...

    def renew(self, leases: Sequence[Any]) -> None:
        """Renew these leases of this store; those that were lost meanwhile stay lost."""
        ...

    def ended(self, keys: Sequence[str]) -> list[str]:
        """Return the keys whose lease nobody holds."""
        ...

    def listen(self) -> Listener:
        """Start to listen for the ends of leases that this process is or will be refused."""
        ...

    def put(self, key: str, kept: Kept, seconds: float) -> None:
        """Keep a result, with a stamp that distinguishes it from others, until it is at least `seconds` seconds old."""
        ...

    def stamp(self, key: str) -> str | None:
        """Return the stamp of the kept result."""
        ...

    def get(self, key: str) -> Kept | None:
        """Return the kept result with its current age."""
        ...

    def forget(self, key: str) -> None:
        """Drop the kept result."""
        ...

    def probe(self) -> None:
        """Use everything that scrapes need once; raise StoreError if any of it fails."""
        ...


def checked(value: bytes) -> bytes:
    """Return a small value; raise StoreError if it is too long."""
    if len(value) > MAX_SHARED_VALUE_BYTES:
        raise StoreError(f"A shared value is longer than {MAX_SHARED_VALUE_BYTES} bytes.")
    return value


def use_everything(store: Store, key: str, seconds: float) -> None:
    """Call all methods of a store once, as its probe; anything left of the key is kept for `seconds` seconds."""
    store.update(key, lambda found, now: (b"probe", None), seconds)
    listener = store.listen()
    try:
        lease = store.lease(key, seconds, seconds)
        if lease is not None:  # otherwise another process is probing
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
