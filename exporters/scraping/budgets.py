"""A namespace's budget for the whole hub: its token bucket in the shared store."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from ..configuration.targets import Target
from ..servicebus import clock
from ..servicebus.budget import Budget
from ..servicebus.errors import Reason, ServiceBusError
from ..servicebus.events import Events
from ..servicebus.request_rate import SMALLEST_FACTOR, Allowance, Bucket, Change, Update
from ..shared_state.layered import Layered
from ..shared_state.store import Store, StoreError

# Longer than the longest pause that the service can request plus the recovery from it.
_KEPT_SECONDS = 600.0
_VERSION: Literal[3] = 3
_bucket_decoder = msgspec.msgpack.Decoder(tuple[Literal[3], Bucket])
# How long to remember that a host has accepted a credential.
_PROVEN_SECONDS = 7 * 86_400.0
_PROVEN = b"proven"
# Alternatively the time of the last attempt, by the store's clock, and its failure, which is reported for this long.
_attempt_decoder = msgspec.msgpack.Decoder(tuple[float, Reason, str])
_FAILURE_SECONDS = 120.0
# Keys known to this process, least recently used first. Only used on the I/O loop.
_MAX_PROVEN = 20_000
_proven: "OrderedDict[str, None]" = OrderedDict()


def budget_for(target: Target, host: str, stores: Layered, events: Events) -> Budget:
    """Return the budget of one read, which reports to `events`.

    The bucket belongs to the Service Bus host, whichever team reads it: a host never gets more requests than its
    budget. Anyone can name a host without a valid credential for it, but can't use up this budget: requests of a team
    with credentials that the host has not accepted yet are limited by a bucket for that team and host.
    """
    limits, spec = target.limits, target.credential
    allowance = Allowance(limits.requests_per_second, limits.burst)
    credential = spec.credential_id if spec is not None else 0
    # Lengths are limited, and only the last part may contain spaces.
    own = f"own {host} {limits.requests_per_second} {limits.burst} {target.team}"
    return Budget(
        allowance,
        _updates(stores, f"budget {host}"),
        own=_updates(stores, own),
        proof=_Proof(stores, host, credential, target.team),
        namespace=target.name,
        events=events,
    )


class _Proof:
    """Whether a host has accepted a team's credential, as known to this process and shared with the hub's others."""

    def __init__(self, stores: Layered, host: str, credential_id: int, team: str) -> None:
        """`credential_id` 0: an unsaved credential, which must prove itself with each read."""
        self._stores = stores
        self._key = _key(f"proven {host} {credential_id} {team}")
        self._is_saved = credential_id > 0
        self._former: ServiceBusError | None = None
        self.update = _updates(stores, f"unproven {host} {team}")

    async def is_proven(self) -> bool:
        if not self._is_saved:
            return False
        if self._key in _proven:
            _proven.move_to_end(self._key)
            return True
        # Reading it also extends its life.
        found, now = await self._keep(lambda found, now: found or b"")
        if found == _PROVEN:
            _remember(self._key)
            return True
        self._former = _failure(found, now)
        return False

    async def failed(self, error: ServiceBusError) -> None:
        if self._is_saved:

            def noted(found: bytes | None, now: float) -> bytes:
                # Another process may have succeeded in the meantime.
                if found == _PROVEN:
                    return found
                return msgspec.msgpack.encode((now, error.reason, error.message[:900]))

            await self._keep(noted)

    def former_failure(self) -> ServiceBusError | None:
        return self._former

    async def note(self, accepted: bool) -> None:
        if accepted:
            # The host now accepts the team, so forget what the team used up before.
            await self.update(lambda bucket, now: (Bucket(), None))
        if not self._is_saved:
            return
        if accepted:
            _remember(self._key)
        else:
            _proven.pop(self._key, None)
        await self._keep(lambda found, now: _PROVEN if accepted else b"")

    async def _keep(self, change: Callable[[bytes | None, float], bytes]) -> tuple[bytes, float]:
        """Change what is known about the credential; return the new value and the store's time."""

        def changed(found: bytes | None, now: float) -> tuple[bytes, tuple[bytes, float]]:
            value = change(found, now)
            return value, (value, now)

        def update(store: Store) -> tuple[bytes, float]:
            return store.update(self._key, changed, _PROVEN_SECONDS)

        try:
            found: tuple[bytes, float] = await _shared(self._stores, lambda: self._stores.do(update))
        except StoreError:  # never happens: the last store is this process's own memory
            return b"", 0.0
        return found


def _remember(key: str) -> None:
    _proven[key] = None
    if len(_proven) > _MAX_PROVEN:
        _proven.popitem(last=False)


def _failure(found: bytes, now: float) -> ServiceBusError | None:
    try:
        at, reason, message = _attempt_decoder.decode(found)
    except ValueError:  # there was no attempt, or another version has written it
        return None
    return ServiceBusError(reason, message) if 0 <= now - at < _FAILURE_SECONDS else None


def _updates(stores: Layered, name: str) -> Update:
    """Return a function that updates the bucket of this name."""
    key = _key(name)

    async def update(change: Change) -> Any:
        try:
            return await _shared(stores, lambda: _update(stores, key, change))
        except StoreError:  # never happens: the last store is this process's own memory
            return change(Bucket(), clock.now())[1]

    return update


async def _shared(stores: Layered, work: Callable[[], Any]) -> Any:
    """Run `work` on the shared stores, in a thread if it may wait for a network."""
    if stores.waits:
        return await asyncio.get_running_loop().run_in_executor(None, work)
    return work()


def _key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:40]


def _update(stores: Layered, key: str, change: Change) -> Any:
    def changed(found: bytes | None, now: float) -> tuple[bytes, Any]:
        bucket, result = change(decode(found), now)
        return encode(bucket), result

    def update(store: Store) -> Any:
        return store.update(key, changed, _KEPT_SECONDS)

    return stores.do(update)


def encode(bucket: Bucket) -> bytes:
    return msgspec.msgpack.encode((_VERSION, bucket))


def decode(found: bytes | None) -> Bucket:
    """Return the bucket that was given to `encode`; a new one for anything else."""
    if not found:
        return Bucket()
    try:
        _, bucket = _bucket_decoder.decode(found)
    except ValueError:  # from another version, or damaged
        return Bucket()
    return bucket if SMALLEST_FACTOR <= bucket.factor <= 1 else Bucket()
