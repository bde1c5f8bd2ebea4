"""A snapshot as compact bytes for other processes: the entities' fields as compressed JSON.

It is plain data on purpose: someone who can write to the cache must not be able to make the hub run code (as with
pickle). It contains no secrets: only what was read, never the credentials. Times are stored as seconds before the end
of the read, because clocks differ between machines.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from ..configuration.targets import Target
from ..servicebus.entities import Counts, Failure, NamespaceInfo, Queue, Snapshot, Subscription, Topic
from ..servicebus.errors import Reason

# zlib's level 1 takes a third of the default's time, for a tenth more space.
_LEVEL = 1
_ROWS = {"queues": Queue, "topics": Topic, "subscriptions": Subscription}
_PLAIN = (
    "dropped",
    "requests",
    "throttled_requests",
    "duration_seconds",
    "read_at",
    "budget_requests_per_second",
)
# Another version of the hub, with other fields, can't use the result and must not fail on it.
_SHAPE = hashlib.sha256(
    repr(
        [
            [field.name for field in fields(kind)]
            for kind in (*_ROWS.values(), Counts, NamespaceInfo, Snapshot)
        ]
    ).encode()
).hexdigest()[:16]


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
    snapshot, finished_at = stored.snapshot, stored.finished_at
    document: dict[str, Any] = {
        "shape": _SHAPE,
        "allowed_seconds": stored.allowed_seconds,
        "began": finished_at - snapshot.began_at,
        "topics_read": {name: finished_at - at for name, at in snapshot.topics_read_at.items()},
        "info": _row(snapshot.info) if snapshot.info is not None else None,
        "collectors": {
            name: None if failure is None else [str(failure.reason), failure.message]
            for name, failure in snapshot.collectors.items()
        },
    }
    for name, kind in _ROWS.items():
        document[name] = _rows(kind, getattr(snapshot, name))
    for name in _PLAIN:
        value = getattr(snapshot, name)
        document[name] = dict(value) if name == "dropped" else value
    document["topics_unread"] = sorted(snapshot.topics_unread)
    # As many bytes as in the responses; escaped names could take six times as many.
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode(), _LEVEL)


def decode(body: bytes, finished_at: float) -> Stored | None:
    """Return what was given to `encode`, for a read that ended at `finished_at` by this machine's clock.

    None for anything else, such as data that another version of the hub has written.
    """
    try:
        document = json.loads(zlib.decompress(body))
        if document["shape"] != _SHAPE:
            return None
        known: dict[str, Any] = {
            name: tuple(_entity(kind, row) for row in document[name]) for name, kind in _ROWS.items()
        }
        snapshot = Snapshot(
            **known,
            info=NamespaceInfo(*document["info"]) if document["info"] is not None else None,
            collectors={
                name: None if failure is None else Failure(Reason(failure[0]), failure[1])
                for name, failure in document["collectors"].items()
            },
            began_at=finished_at - document["began"],
            topics_read_at={name: finished_at - before for name, before in document["topics_read"].items()},
            topics_unread=frozenset(document["topics_unread"]),
            **{name: document[name] for name in _PLAIN},
        )
        return Stored(document["allowed_seconds"], finished_at, snapshot)
    except (zlib.error, ValueError, KeyError, TypeError, IndexError):
        return None


def _getter(kind: type[Any]) -> Any:
    return attrgetter(*(field.name for field in fields(kind)))


_GETTERS = {kind: _getter(kind) for kind in (*_ROWS.values(), Counts, NamespaceInfo)}
_COUNTS_AT = {kind: [field.name for field in fields(kind)].index("counts") for kind in _ROWS.values()}


def _row(value: Any) -> list[Any]:
    return list(_GETTERS[type(value)](value))


def _rows(kind: type[Any], entities: Sequence[Any]) -> list[list[Any]]:
    read, read_counts, at = _GETTERS[kind], _GETTERS[Counts], _COUNTS_AT[kind]
    rows = []
    for entity in entities:
        row = list(read(entity))
        if row[at] is not None:
            row[at] = read_counts(row[at])
        rows.append(row)
    return rows


def _entity(kind: type[Any], row: list[Any]) -> Any:
    at = _COUNTS_AT[kind]
    if row[at] is not None:
        row[at] = Counts(*row[at])
    return kind(*row)
