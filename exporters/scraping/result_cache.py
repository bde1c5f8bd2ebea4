"""The last result of each namespace, in the shared store."""

import secrets
import threading
from collections import OrderedDict

from ..servicebus import clock
from ..shared_state import shared
from ..shared_state.store import Kept, StoreError
from .results import Stored, decode, encode

# Results that no other scrape waits for are also cached, for previews in the admin, but only this often, because it
# costs CPU time.
_KEEP_EVERY_SECONDS = 30.0
_KEPT_SECONDS = 900.0
# Limit for the decoded results that this process keeps, for namespaces whose reads are used more than once. An entity
# takes about 600 bytes of memory and a microsecond to decode.
MAX_DECODED_ENTITIES = 50_000
# The least that a result counts for, because it has more than entities.
_LEAST = 100


class KeptResults:
    """Results by key (see results.key_of). Never raises: if no store works, there are no results."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._put_at: dict[str, float] = {}
        self._decoded: OrderedDict[str, tuple[str, Stored]] = OrderedDict()
        self._decoded_entities = 0

    def put(self, key: str, stored: Stored) -> None:
        stamp = secrets.token_hex(16)
        body = encode(stored)
        try:
            shared().do(
                lambda store: store.put(
                    key, Kept(stamp, body, clock.now() - stored.finished_at), _KEPT_SECONDS
                )
            )
        except StoreError:
            return
        self._put_at[key] = clock.now()
        self._remember(key, stamp, stored)

    def is_due(self, key: str) -> bool:
        """Return whether this process has kept no result for a while."""
        return clock.now() - self._put_at.get(key, -_KEEP_EVERY_SECONDS) >= _KEEP_EVERY_SECONDS

    def get(self, key: str) -> Stored | None:
        """Return the last result, up to a quarter of an hour old, or None."""
        try:
            known = self._decoded.get(key)
            if known is not None and known[0] == shared().do(lambda store: store.stamp(key)):
                return known[1]
            asked_at = clock.now()
            found = shared().do(lambda store: store.get(key))
        except StoreError:
            return None
        if found is None or found.age_seconds < 0:  # the store's clock was set back, so its age is unknown
            return None
        stored = decode(found.body, asked_at - found.age_seconds)
        if stored is not None:
            self._remember(key, found.stamp, stored)
        return stored

    def forget(self, key: str) -> None:
        self._put_at.pop(key, None)
        with self._lock:
            self._drop(key)
        try:
            shared().do(lambda store: store.forget(key))
        except StoreError:
            return

    def _remember(self, key: str, stamp: str, stored: Stored) -> None:
        with self._lock:
            self._drop(key)
            if _size(stored) > MAX_DECODED_ENTITIES:
                return
            self._decoded[key] = (stamp, stored)
            self._decoded_entities += _size(stored)
            while self._decoded_entities > MAX_DECODED_ENTITIES:
                self._drop(next(iter(self._decoded)))

    def _drop(self, key: str) -> None:
        former = self._decoded.pop(key, None)
        if former is not None:
            self._decoded_entities -= _size(former[1])


def _size(stored: Stored) -> int:
    snapshot = stored.snapshot
    return max(_LEAST, len(snapshot.queues) + len(snapshot.topics) + len(snapshot.subscriptions))
