"""Who reads a namespace, over processes and replicas."""

from . import shared
from .layered import HeldLease, Wait
from .store import StoreError

# Renewed once a second while the read goes on. Long enough for a process that gets no CPU for a moment, short against
# a scrape.
_LEASE_SECONDS = 3.0


def take(key: str, seconds: float) -> "HeldLease | NoLease | Wait":
    """Return the lease; while another process reads, how to wait for its end.

    The other process is told that its result is wanted, within so many seconds: to store one costs CPU, so that is not
    done for nobody.
    """
    try:
        return shared().lease(key, _LEASE_SECONDS, seconds)
    except StoreError:
        return NoLease()


class NoLease:
    """Where no store works: everybody reads."""

    def release_unless_wanted(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing to do."""
