"""The contents of a namespace at one moment, as plain values that all come from the service.

`None` always means that the service did not report the value; it produces no sample. Times are in Unix seconds (UTC),
durations in seconds, sizes in bytes. "Never" (a time in the year 0001) and "forever" (a duration of .NET's
TimeSpan.MaxValue) are `None` too, because neither has a number that a dashboard could use.

All of them are immutable, because scrapes share them. Of some classes, a snapshot has thousands of instances: these are
structs of msgspec, which are created in half the time of a dataclass and encoded as arrays of their values. They can't
be part of a reference cycle, so the garbage collector doesn't track them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from .errors import Reason


class Counts(Struct, frozen=True, array_like=True, gc=False):
    """An entity's CountDetails: messages by state."""

    active: int
    dead_letter: int
    scheduled: int
    transfer: int
    transfer_dead_letter: int


class Queue(Struct, frozen=True, array_like=True, gc=False):
    name: str
    status: str | None = None  # in Prometheus's spelling: active, disabled, send_disabled, ...
    counts: Counts | None = None  # None: the service left CountDetails out, as it does while it throttles
    messages: int | None = None  # MessageCount, the service's own total
    size_bytes: int | None = None
    max_size_bytes: int | None = None
    created: float | None = None
    updated: float | None = None
    accessed: float | None = None
    max_delivery_count: int | None = None
    lock_duration_seconds: float | None = None
    default_message_ttl_seconds: float | None = None
    requires_session: bool | None = None
    partitioned: bool | None = None
    forward_to: str | None = None  # the absolute sb:// URI that the service reports
    forward_dead_lettered_messages_to: str | None = None
    user_metadata: str | None = None


class Topic(Struct, frozen=True, array_like=True, gc=False):
    name: str
    status: str | None = None
    counts: Counts | None = None
    size_bytes: int | None = None
    max_size_bytes: int | None = None
    subscription_count: int | None = None
    created: float | None = None
    updated: float | None = None
    accessed: float | None = None
    default_message_ttl_seconds: float | None = None
    partitioned: bool | None = None
    user_metadata: str | None = None


class Subscription(Struct, frozen=True, array_like=True, gc=False):
    topic_name: str
    name: str
    status: str | None = None
    counts: Counts | None = None
    messages: int | None = None
    created: float | None = None
    updated: float | None = None
    accessed: float | None = None
    max_delivery_count: int | None = None
    lock_duration_seconds: float | None = None
    default_message_ttl_seconds: float | None = None
    requires_session: bool | None = None
    forward_to: str | None = None
    forward_dead_lettered_messages_to: str | None = None
    user_metadata: str | None = None


@dataclass(frozen=True, slots=True)
class NamespaceInfo:
    name: str
    sku: str | None = None  # Basic, Standard, Premium
    messaging_units: int | None = None  # Premium only


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one part of a read is missing or incomplete."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one read returned, even if it failed half-way."""

    queues: tuple[Queue, ...] = ()
    topics: tuple[Topic, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    info: NamespaceInfo | None = None
    # The requested parts: collector name (namespace, queues, topics, subscriptions) -> None if it was read in full,
    # otherwise why not. The exposition's `up` is 1 if every value is None.
    collectors: Mapping[str, Failure | None] = field(default_factory=dict)
    # Reason (filtered, duplicate, limit) -> entities.
    dropped: Mapping[str, int] = field(default_factory=dict)
    requests: int = 0  # management requests sent, whatever their answer
    throttled_requests: int = 0  # of these, the ones answered with 429 or 503
    duration_seconds: float = 0.0
    read_at: float = 0.0  # Unix seconds at the start of the read, for display
    began_at: float = 0.0  # the same by the machine's clock (servicebus.clock), for ages
    # Topics whose subscriptions come from an earlier read, because the budget did not allow reading them: name -> when
    # they were read, by the machine's clock. And the topics whose subscriptions are unknown.
    topics_read_at: Mapping[str, float] = field(default_factory=dict)
    topics_unread: frozenset[str] = frozenset()
    budget_requests_per_second: float | None = None  # at the end of the read, throttling included

    @property
    def failures(self) -> list[Failure]:
        """Return why collectors could not read everything; empty if all could."""
        return [failure for failure in self.collectors.values() if failure is not None]

    @property
    def oldest_began_at(self) -> float:
        """Return when the oldest of the values was read, by the machine's clock."""
        return min([self.began_at, *self.topics_read_at.values()])

    @property
    def lacks_budget(self) -> bool:
        """Return whether subscriptions are missing because the budget did not allow reading them."""
        failure = self.collectors.get("subscriptions")
        return failure is not None and failure.reason is Reason.BUDGET
