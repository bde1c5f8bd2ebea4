"""The entities of a simulated namespace. The next request sees every change to an attribute."""

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

# .NET's TimeSpan.MaxValue: how the service writes "forever".
FOREVER = "P10675199DT2H48M5.4775807S"
Duration = str | float | dt.timedelta | None  # ISO 8601, seconds, or None for FOREVER
# A text is sent as it is; None is sent as the year 0001, which means "never".
Moment = dt.datetime | str | None


@dataclass(frozen=True)
class SharedKey:
    """A shared access policy: of the namespace, or of the entity that `entity_path` names."""

    name: str
    key: str = field(repr=False)
    rights: frozenset[str]  # of Manage, Send, Listen
    entity_path: str | None = None
    created: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(eq=False)
class SimulatedEntity:
    """The attributes that queues, topics and subscriptions have in common. Counts are messages."""

    name: str
    active: int = 0
    dead_letter: int = 0
    scheduled: int = 0
    transfer: int = 0
    transfer_dead_letter: int = 0
    status: str = "Active"  # as the service spells it: Active, Disabled, SendDisabled, ReceiveDisabled, ...
    created: Moment = field(default_factory=_now)
    updated: Moment = field(default_factory=_now)
    accessed: Moment = None
    default_message_ttl: Duration = None
    auto_delete_on_idle: Duration = None
    enable_batched_operations: bool = True
    user_metadata: str | None = None
    has_counts: bool = True  # False leaves CountDetails out, as the service does while it is throttled

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        collection = self.__dict__.get("_collection")
        if collection is not None and not name.startswith("_"):
            collection.changed(self)

    def update(self, **values: Any) -> None:
        """Set several attributes at once, so that no response shows only some of the changes."""
        unknown = [name for name in values if name not in self.__dataclass_fields__ or name == "name"]
        if unknown:
            raise ValueError(f"{type(self).__name__} has no changeable {', '.join(unknown)}")
        collection: Collection[Any] | None = self.__dict__.get("_collection")
        lock = collection.lock if collection is not None else threading.RLock()
        with lock:
            for name, value in values.items():
                setattr(self, name, value)

    @property
    def total(self) -> int:
        return self.active + self.dead_letter + self.scheduled + self.transfer + self.transfer_dead_letter

    def rendered(self) -> dict[str, str]:
        """Return this entity's cache of rendered descriptions; the collection clears it on every change."""
        cache: dict[str, str] = self.__dict__.setdefault("_rendered", {})
        return cache


@dataclass(eq=False)
class SimulatedQueue(SimulatedEntity):
    messages: int | None = None  # MessageCount; None: the sum of the counts
    size_bytes: int = 0
    max_size_megabytes: int = 1024  # if partitioned, reported 16 times as large
    max_delivery_count: int = 10
    lock_duration: Duration = "PT1M"
    duplicate_detection_window: Duration = "PT10M"
    requires_duplicate_detection: bool = False
    requires_session: bool = False
    dead_lettering_on_expiration: bool = False
    partitioned: bool = False
    express: bool = False
    forward_to: str | None = None  # an entity's name, or an absolute URI
    forward_dead_lettered_to: str | None = None
    max_message_size_kilobytes: int | None = None  # None: the SKU's limit
    keys: list[SharedKey] = field(default_factory=list, repr=False)


@dataclass(eq=False)
class SimulatedSubscription(SimulatedEntity):
    topic_name: str = ""
    messages: int | None = None
    max_delivery_count: int = 10
    lock_duration: Duration = "PT1M"
    requires_session: bool = False
    dead_lettering_on_expiration: bool = False
    dead_lettering_on_filter_errors: bool = True
    forward_to: str | None = None
    forward_dead_lettered_to: str | None = None


@dataclass(eq=False)
class SimulatedTopic(SimulatedEntity):
    size_bytes: int = 0
    max_size_megabytes: int = 1024
    duplicate_detection_window: Duration = "PT10M"
    requires_duplicate_detection: bool = False
    support_ordering: bool = True
    partitioned: bool = False
    express: bool = False
    subscription_count: int | None = None  # None: the actual number
    max_message_size_kilobytes: int | None = None
    keys: list[SharedKey] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._parent: Collection[SimulatedTopic] | None = None
        self._subscriptions: Collection[SimulatedSubscription] = Collection(
            threading.RLock(), self._members_changed
        )

    @property
    def subscriptions(self) -> "Collection[SimulatedSubscription]":
        return self._subscriptions

    def add_subscription(self, name: str, **values: Any) -> SimulatedSubscription:
        return self._subscriptions.add(SimulatedSubscription(name, topic_name=self.name, **values))

    def delete_subscription(self, name: str) -> None:
        del self._subscriptions[name]

    def _members_changed(self) -> None:
        collection: Collection[Any] | None = self.__dict__.get("_collection")
        if collection is not None:  # the topic's own entry contains SubscriptionCount
            collection.changed(self)


E_ = TypeVar("E_", bound=SimulatedEntity)


class Collection(Generic[E_]):
    """Entities by name, in the service's order, with a revision that shows whether a rendered page is still valid.

    Look-ups are case-insensitive, as in Service Bus.
    """

    def __init__(self, lock: "threading.RLock", members_changed: Any = None) -> None:
        self.lock = lock
        self.revision = 0
        self.pages: dict[Any, tuple[int, bytes]] = {}
        self._members_changed = members_changed
        self._entities: dict[str, E_] = {}
        self._sorted: list[E_] | None = None

    def add(self, entity: E_) -> E_:
        with self.lock:
            if entity.name.lower() in self._entities:
                raise ValueError(f"there is an entity named {entity.name!r} already")
            self._entities[entity.name.lower()] = entity
            entity.__dict__["_collection"] = self
            self._membership_changed()
        return entity

    def changed(self, entity: SimulatedEntity) -> None:
        with self.lock:
            entity.rendered().clear()
            self.revision += 1

    def in_order(self) -> list[E_]:
        """Return all entities in the service's order, which is lexical: queue-1, queue-10, queue-2."""
        with self.lock:
            if self._sorted is None:
                self._sorted = [entity for _, entity in sorted(self._entities.items())]
            return self._sorted

    def get(self, name: str) -> E_ | None:
        return self._entities.get(name.lower())

    def __getitem__(self, name: str) -> E_:
        return self._entities[name.lower()]

    def __delitem__(self, name: str) -> None:
        with self.lock:
            self._entities.pop(name.lower()).__dict__.pop("_collection", None)
            self._membership_changed()

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._entities

    def __iter__(self) -> Iterator[str]:
        return iter([entity.name for entity in self.in_order()])

    def __len__(self) -> int:
        return len(self._entities)

    def values(self) -> list[E_]:
        return list(self.in_order())

    def clear(self) -> None:
        with self.lock:
            for entity in self._entities.values():
                entity.__dict__.pop("_collection", None)
            self._entities.clear()
            self._membership_changed()

    def _membership_changed(self) -> None:
        self._sorted = None
        self.revision += 1
        if self._members_changed is not None:
            self._members_changed()
