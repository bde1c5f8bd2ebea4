"""All targets that a user may see, worst first: for the start page and the wall page.

Always two queries, however many targets there are: one for every target's state, one for the targets on the page.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet

from ..models import Namespace, NamespaceStatus
from ..scraping import state as scrape_state
from ..scraping.advice import ADVICE
from ..scraping.state import FACTS, Facts, State
from ..servicebus.errors import Reason
from ..telemetry.internal_errors import guarded

PAGE_SIZE = 50

UNREADABLE = "The record of its last scrape can't be shown."
REPORT_IT = "This is a bug in the hub. Report the traceback in its log."


@dataclass(frozen=True, slots=True)
class Summary:
    """What the start page shows about a namespace."""

    state: State
    since: datetime | None
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Row:
    """One target, ready to display."""

    namespace: Namespace
    status: NamespaceStatus | None
    summary: Summary

    @property
    def state(self) -> State:
        return self.summary.state

    @property
    def share(self) -> float:
        """The share of the allowed time that the last scrape took, from 0 to 1."""
        if self.status is None or self.status.allowed_seconds <= 0:
            return 0.0
        return min(1.0, self.status.duration_seconds / self.status.allowed_seconds)


@dataclass(frozen=True, slots=True)
class Board:
    """A page of targets, and the number of targets in each state on all pages."""

    rows: list[Row]
    counts: dict[State, int]
    page: Page[Any]  # of those in the chosen state

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def board(
    namespaces: "QuerySet[Namespace]",
    now: datetime,
    *,
    state: State | None = None,
    search: str = "",
    page: str | None = None,
    page_size: int = PAGE_SIZE,
) -> Board:
    """Return a page of these namespaces; an invalid page number gives the first or the last page."""
    if search:
        namespaces = namespaces.filter(
            Q(name__icontains=search) | Q(team__name__icontains=search) | Q(host__icontains=search)
        )
    # Plain values: creating objects for ten thousand namespaces would take a quarter of a second.
    states = [
        (_state(Facts(*facts), now), name, key)
        for key, name, *facts in namespaces.order_by().values_list("pk", "name", *FACTS)
    ]
    counts = Counter(each for each, _, _ in states)
    chosen = sorted(
        (each for each in states if state is None or each[0] is state),
        key=lambda each: (each[0].rank, each[1]),
    )
    found = Paginator(chosen, page_size).get_page(page)
    keys = [key for _, _, key in found]
    read = namespaces.select_related("status", "team").in_bulk(keys)
    return Board(
        rows=[row(read[key], now) for key in keys if key in read],  # some may be deleted or moved by now
        counts={each: counts[each] for each in State if counts[each]},
        page=found,
    )


def state_of(namespace: Namespace, now: datetime) -> State:
    """Return the namespace's state; failing if it can't be determined."""
    return guarded(lambda: scrape_state.state_of(namespace, now), lambda: State.FAILING)


def _state(facts: Facts, now: datetime) -> State:
    return guarded(lambda: scrape_state.state_from(facts, now), lambda: State.FAILING)


def row(namespace: Namespace, now: datetime) -> Row:
    """Return the namespace's row, whatever is stored about its last scrape."""
    return guarded(
        lambda: Row(namespace, getattr(namespace, "status", None), summary(namespace, now)),
        lambda: Row(namespace, None, Summary(State.FAILING, None, UNREADABLE, REPORT_IT)),
    )


def summary(namespace: Namespace, now: datetime) -> Summary:
    status: NamespaceStatus | None = getattr(namespace, "status", None)
    state = scrape_state.state_of(namespace, now)
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
