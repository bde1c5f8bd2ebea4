"""A namespace's state in one word, from its last scrape: the start page sorts and colors by it."""

from dataclasses import dataclass
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

    @property
    def css_class(self) -> str:
        return "state-" + self.replace(" ", "-")


# What to do about a failure. Shown after the message, which describes what is wrong.
ADVICE: dict[Reason, str] = {
    Reason.UNAUTHORIZED: "Enter a valid key with the Manage right in the credential. An Entra ID identity needs a "
    "role on the namespace.",
    Reason.FORBIDDEN: "Assign the identity a role on the namespace, or allow the hub's address in its firewall.",
    Reason.NOT_FOUND: "Check the host and the connection string's EntityPath.",
    Reason.DNS: "Check the spelling of the host and, for a private endpoint, the private DNS zone.",
    Reason.TLS: "Check the host and, behind a TLS proxy, HUB_CA_FILE.",
    Reason.CONNECTION: "Check firewalls, the port and the private endpoint.",
    Reason.TIMEOUT: "Raise Prometheus's scrape_timeout and the namespace's timeout, or exclude entities.",
    Reason.THROTTLED: "Lower the requests per second, or scrape less often.",
    Reason.SERVER_ERROR: "If it persists, check Azure's status page.",
    Reason.MALFORMED: "Check the host and any proxies in between.",
    Reason.TOO_LARGE: "Check the host and any proxies in between.",
    Reason.CHANGED: "Scrape again when entities are no longer being added or deleted.",
    Reason.CREDENTIAL: "Open the credential and test it.",
    Reason.BUDGET: "Raise the namespace's requests per second, or exclude entities.",
    Reason.OVERLOADED: "Give the hub more CPU, add a replica, or scrape less often.",
    Reason.INTERNAL: "This is a bug in the hub. Report the traceback in its log.",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What the start page shows about a namespace."""

    state: State
    since: datetime | None
    message: str
    advice: str


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


def summary(namespace: Namespace, now: datetime) -> Summary:
    status: NamespaceStatus | None = getattr(namespace, "status", None)
    state = state_of(namespace, now)
    if state is State.NEVER:
        return Summary(
            state,
            None,
            "",
            "Not scraped yet. Its Status page has the configuration for Prometheus.",
        )
    if state is State.STALE:
        return Summary(
            state,
            status.at if status else None,
            "",
            "Prometheus has stopped scraping it. In Prometheus, open Status > Targets and look for its error.",
        )
    if status is None or state is State.PAUSED:
        return Summary(state, None, "", "")
    if not status.reason and status.throttled_requests:
        message = f"Service Bus throttled {status.throttled_requests} requests during the last scrape."
        return Summary(state, None, message, ADVICE[Reason.THROTTLED])
    if not status.reason:
        return Summary(state, status.since, "", "")
    # A later version of the hub may have written a reason that this one doesn't have.
    advice = {str(reason): text for reason, text in ADVICE.items()}.get(status.reason, "")
    return Summary(state, status.since, status.message, advice)
