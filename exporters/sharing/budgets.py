"""A namespace's budget over the whole hub: its bucket in what scrapes share."""

import asyncio
import hashlib
import logging
import struct
from collections.abc import Callable
from typing import Any

from .. import telemetry
from ..catalog import Target
from ..servicebus import clock
from ..servicebus.bucket import SMALLEST_FACTOR, Allowance, Bucket
from ..servicebus.budget import Budget, Change
from . import shared
from .store import StoreError

logger = logging.getLogger(__name__)

# Longer than the longest pause that the service can ask for, and than the way back from it.
_KEPT_SECONDS = 600.0
# A version, the numbers of a bucket in their order, and its SKU.
_VERSION = 1
_FORMAT = struct.Struct("<B8d8s")


def budget_for(target: Target, host: str) -> Budget:
    """Return the budget of one read.

    The bucket is that of the team and the Service Bus host, so that two of a team's entries for one host share it. Not
    of the host alone: another team, which needs no valid credential to name a host, could use it up.
    """
    key = hashlib.sha256(f"budget {target.team} {host}".encode()).hexdigest()[:40]
    allowance = Allowance(target.limits.requests_per_second, target.limits.burst)

    async def update(change: Change) -> Any:
        stores = shared()
        try:
            if stores.waits:
                return await asyncio.get_running_loop().run_in_executor(None, _update, key, change)
            return _update(key, change)
        except StoreError:  # the last store is this process's own memory, so this does not happen
            return change(Bucket(), clock.now())[1]

    return Budget(allowance, update, log=_Episodes(target.name))


def _update(key: str, change: Change) -> Any:
    def changed(found: bytes | None, now: float) -> tuple[bytes, Any]:
        bucket, result = change(decode(found), now)
        return encode(bucket), result

    update: Callable[..., Any] = lambda store: store.update(key, changed, _KEPT_SECONDS)  # noqa: E731
    return shared().do(update)


def encode(bucket: Bucket) -> bytes:
    """Return the bucket as bytes, always of the same length."""
    return _FORMAT.pack(_VERSION, *bucket[:-1], bucket.sku.encode("ascii"))


def decode(found: bytes | None) -> Bucket:
    """Return the bucket that `encode` was given; a fresh one for anything else."""
    if not found:
        return Bucket()
    try:
        version, *numbers, sku = _FORMAT.unpack(found)
        bucket = Bucket._make([*numbers, sku.rstrip(b"\0").decode("ascii")])
    except (struct.error, UnicodeDecodeError):  # another version's, or damaged
        return Bucket()
    if version != _VERSION or not SMALLEST_FACTOR <= bucket.factor <= 1:
        return Bucket()
    return bucket


class _Episodes:
    def __init__(self, name: str) -> None:
        self._name = name

    def began(self, requests_per_second: float, pause_seconds: float) -> None:
        telemetry.THROTTLING_EPISODES.inc()
        logger.warning(
            "Service Bus throttles %s: asked no more for %.1f s, then at %.3g requests a second",
            self._name,
            pause_seconds,
            requests_per_second,
        )

    def ended(self) -> None:
        logger.info("%s is read at its full rate again", self._name)
