"""Leases that decide which process or replica reads a namespace."""

from . import shared
from .layered import HeldLease, Wait
from .store import StoreError

# Renewed once per second during a read. Long enough to survive a moment without CPU time, but short compared to a
# scrape.
_LEASE_SECONDS = 3.0


def take(key: str, seconds: float) -> "HeldLease | NoLease | Wait":
    """Return the lease, or a Wait for its end if another process is reading.

    This also tells the other process that its result is wanted within `seconds` seconds: storing a result costs CPU
    time, so most results that nobody wants are not stored.
    """
    try:
        return shared().lease(key, _LEASE_SECONDS, seconds)
    except StoreError:
        return NoLease()


class NoLease:
    """Used if no store works: every process reads by itself."""

    def release_unless_wanted(self) -> bool:
        return True

    def release(self) -> None:
        """Do nothing."""
