"""The last result of each namespace, in what scrapes share."""

import secrets
import threading
from collections import OrderedDict

from ..servicebus import clock
from . import shared
from .results import Stored, decode, encode
from .store import Kept, StoreError

# A result that nobody asked for is kept all the same, for previews in the admin; this often, as it costs CPU.
_KEEP_EVERY_SECONDS = 30.0
_KEPT_SECONDS = 900.0
# Results that this process has decoded lately, for namespaces whose reads are used more than once.
_DECODED = 32


class KeptResults:
    """By the key of a team's reads. Where no store works there is none, and nothing is raised."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._put_at: dict[str, float] = {}
        self._decoded: OrderedDict[str, tuple[str, Stored]] = OrderedDict()

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
        """Tell whether this process has put none for a while."""
        return clock.now() - self._put_at.get(key, -_KEEP_EVERY_SECONDS) >= _KEEP_EVERY_SECONDS

    def get(self, key: str) -> Stored | None:
        """Return the last result, of whatever age up to a quarter of an hour."""
        try:
            stamp = shared().do(lambda store: store.stamp(key))
            if stamp is None:
                return None
            known = self._decoded.get(key)
            if known is not None and known[0] == stamp:
                return known[1]
            asked_at = clock.now()
            found = shared().do(lambda store: store.get(key))
        except StoreError:
            return None
        if (
            found is None or found.age_seconds < 0
        ):  # the store's clock was set back: nobody knows how old it is
            return None
        stored = decode(found.body, asked_at - found.age_seconds)
        if stored is not None:
            self._remember(key, found.stamp, stored)
        return stored

    def forget(self, key: str) -> None:
        self._put_at.pop(key, None)
        self._decoded.pop(key, None)
        try:
            shared().do(lambda store: store.forget(key))
        except StoreError:
            return

    def _remember(self, key: str, stamp: str, stored: Stored) -> None:
        with self._lock:
            self._decoded[key] = (stamp, stored)
            self._decoded.move_to_end(key)
            if len(self._decoded) > _DECODED:
                self._decoded.popitem(last=False)
