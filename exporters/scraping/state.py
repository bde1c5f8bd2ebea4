"""A namespace's state in one word, from its last scrape."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from ..models import Namespace, NamespaceStatus, Outcome
from ..servicebus.errors import Reason

# For namespaces without their own interval: five times Prometheus's default of one minute.
_STALE_AFTER = timedelta(minutes=5)
_STALE_INTERVALS = 5


class State(StrEnum):
    """From the worst state to the least urgent; the start page lists them in this order."""

    FAILING = "failing"
    THROTTLED = "throttled"
    STALE = "stale"
    NEVER = "never scraped"
    UP = "up"
    PAUSED = "paused"

    @property
    def rank(self) -> int:
        return list(State).index(self)

    @property
    def is_bad(self) -> bool:
        """Whether the target needs attention."""
        return self in {State.FAILING, State.THROTTLED, State.STALE}


class Facts(NamedTuple):
    """The input for a state. `at` and the fields after it are from the last scrape; None if there was none."""

    enabled: bool
    scrape_interval_seconds: float | None
    at: datetime | None
    outcome: str | None
    reason: str | None
    throttled_requests: int | None


# The lookups of Facts in a query of namespaces.
FACTS = (
    "enabled",
    "scrape_interval_seconds",
    "status__at",
    "status__outcome",
    "status__reason",
    "status__throttled_requests",
)


def state_of(namespace: Namespace, now: datetime) -> State:
    status: NamespaceStatus | None = getattr(namespace, "status", None)
    enabled, interval = namespace.enabled, namespace.scrape_interval_seconds
    if status is None:
        return state_from(Facts(enabled, interval, None, None, None, None), now)
    last = (status.at, status.outcome, status.reason, status.throttled_requests)
    return state_from(Facts(enabled, interval, *last), now)


def state_from(facts: Facts, now: datetime) -> State:
    if not facts.enabled:
        return State.PAUSED
    if facts.at is None:
        return State.NEVER
    if now - facts.at > stale_after(facts.scrape_interval_seconds):
        return State.STALE
    if facts.outcome != Outcome.SUCCESS:
        return State.THROTTLED if facts.reason == Reason.THROTTLED else State.FAILING
    return State.THROTTLED if facts.throttled_requests else State.UP


def stale_after(interval_seconds: float | None) -> timedelta:
    """Return the time without a scrape after which the cause is Prometheus rather than the namespace."""
    return timedelta(seconds=_STALE_INTERVALS * interval_seconds) if interval_seconds else _STALE_AFTER
