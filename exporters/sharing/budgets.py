"""A namespace's budget over the whole hub: its bucket in what scrapes share."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from .. import telemetry
from ..catalog import Target
from ..servicebus.bucket import Allowance, Bucket
from ..servicebus.budget import Budget, Change
from . import shared
from .store import StoreError

logger = logging.getLogger(__name__)

# Longer than the longest pause that the service can ask for, and than the way back from it.
_KEPT_SECONDS = 600.0


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
            return change(Bucket())[1]

    return Budget(allowance, update, log=_Episodes(target.name))


def _update(key: str, change: Change) -> Any:
    def changed(found: bytes | None) -> tuple[bytes, Any]:
        bucket, result = change(_decode(found))
        return json.dumps(asdict(bucket)).encode(), result

    update: Callable[..., Any] = lambda store: store.update(key, changed, _KEPT_SECONDS)  # noqa: E731
    return shared().do(update)


def _decode(found: bytes | None) -> Bucket:
    if not found:
        return Bucket()
    try:
        document = json.loads(found)
        return Bucket(**{**document, "used": tuple((at, count) for at, count in document["used"])})
    except (ValueError, TypeError, KeyError):  # another version's, or damaged
        return Bucket()


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
