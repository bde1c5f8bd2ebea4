"""Who reads a namespace, over processes and replicas, and whether somebody waits for the result."""

from . import shared
from .store import Lease, StoreError

# Renewed while the read goes on, once a second. Long enough for a process that gets no CPU for a moment, short against
# a scrape.
_LEASE_SECONDS = 3.0
# More than a read takes: who asked has its answer by then, or none.
_ASKED_SECONDS = 60.0


def take(key: str) -> Lease | None:
    """Return the lease; None while another process reads."""
    try:
        return shared().lease(key, _LEASE_SECONDS)
    except StoreError:
        return _NoLease()


def is_taken(key: str) -> bool:
    try:
        return shared().do(lambda store: store.is_leased(key))
    except StoreError:
        return False


def ask_for_the_result(key: str) -> None:
    """Let the process that reads know that its result is wanted: storing one costs CPU, so it isn't done for nobody."""
    try:
        shared().do(
            lambda store: store.update(
                f"{key}-asked", lambda _, now: (repr(now).encode(), None), _ASKED_SECONDS
            )
        )
    except StoreError:
        return


def is_asked_for(key: str) -> bool:
    """Tell whether somebody waits, and take note that they are served."""

    def look(found: bytes | None, now: float) -> tuple[bytes, bool]:
        return b"", found is not None and _is_recent(found, now)

    try:
        return shared().do(lambda store: store.update(f"{key}-asked", look, _ASKED_SECONDS))
    except StoreError:
        return False


def _is_recent(found: bytes, now: float) -> bool:
    try:
        return abs(now - float(found)) < _ASKED_SECONDS
    except ValueError:  # served, or damaged
        return False


class _NoLease:
    """Where no store works: everybody reads."""

    def renew(self) -> None:
        """Nothing to do."""

    def release(self) -> None:
        """Nothing to do."""
