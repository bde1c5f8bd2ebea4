"""A snapshot as compact bytes for other processes: compressed MessagePack.

It is only plain data, so someone who can write to the cache can't make the hub run code (as with pickle). It contains
no secrets: only what was read, never the credentials. Times are stored as seconds before the end of the read, because
clocks differ between machines.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass, replace

import msgspec

from ..configuration.targets import Target
from ..servicebus.entities import Snapshot

# zlib's level 1 takes a third of the default's time, for a tenth more space.
_LEVEL = 1
# Another version of the hub, with other fields, can't use the result and must not fail on it.
_SHAPE = hashlib.sha256(repr(msgspec.inspect.type_info(Snapshot)).encode()).hexdigest()[:16]
_decoder = msgspec.msgpack.Decoder(tuple[str, float, Snapshot])


@dataclass(frozen=True, slots=True)
class Stored:
    """A read that was kept: its time limit, its end, and its result."""

    allowed_seconds: float
    finished_at: float  # by this machine's clock (servicebus.clock)
    snapshot: Snapshot


def key_of(target: Target) -> str:
    """Return the key of a team's reads of a namespace; reads for another configuration have other keys.

    The key includes the credential, because another credential may be allowed to read other things. It excludes the
    secret: a rotated secret reads the same, and carries over the results of the previous one.
    """
    identity = [
        target.team,
        str(target.endpoint or target.host),
        target.credential.credential_id if target.credential is not None else 0,
        target.connection.entity_path if target.connection is not None else "",
        target.include,
        target.exclude,
        target.limits.max_entities,
    ]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]


def encode(stored: Stored) -> bytes:
    relative = _mirrored(stored.snapshot, stored.finished_at)
    return zlib.compress(msgspec.msgpack.encode((_SHAPE, stored.allowed_seconds, relative)), _LEVEL)


def decode(body: bytes, finished_at: float) -> Stored | None:
    """Decode the result of `encode`, for a read that ended at `finished_at` by this machine's clock.

    Returns None for anything else, such as data that another version of the hub has written.
    """
    try:
        shape, allowed_seconds, relative = _decoder.decode(zlib.decompress(body))
    except (zlib.error, ValueError, RecursionError):
        return None
    return Stored(allowed_seconds, finished_at, _mirrored(relative, finished_at)) if shape == _SHAPE else None


def _mirrored(snapshot: Snapshot, finished_at: float) -> Snapshot:
    """Return the snapshot with its times as seconds before `finished_at`, or the other way round."""
    return replace(
        snapshot,
        began_at=finished_at - snapshot.began_at,
        topics_read_at={name: finished_at - at for name, at in snapshot.topics_read_at.items()},
    )
