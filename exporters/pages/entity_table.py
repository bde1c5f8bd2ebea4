"""A snapshot's queues, topics and subscriptions as table rows: searched, sorted, worst first."""

from collections.abc import Callable
from dataclasses import dataclass

from django.core.paginator import Page, Paginator

from ..servicebus.entities import Queue, Snapshot, Subscription, Topic

PAGE_SIZE = 100
KINDS = ("queue", "topic", "subscription")
# The status of an entity that works normally.
_ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Row:
    """One entity; None is what the service did not report. Sizes in bytes, `accessed` in Unix seconds."""

    kind: str
    name: str
    topic: str
    status: str | None
    active: int | None
    dead_letter: int | None
    scheduled: int | None
    size_bytes: int | None
    max_size_bytes: int | None
    accessed: float | None

    @property
    def share(self) -> float:
        """How full it is, from 0 to 1."""
        size, most = self.size_bytes or 0, self.max_size_bytes or 0
        if most <= 0:
            return 0.0
        return 1.0 if size >= most else size / most

    @property
    def unusual_status(self) -> str:
        return "" if self.status in (None, _ACTIVE) else str(self.status).replace("_", " ")


@dataclass(frozen=True, slots=True)
class Table:
    """A page of rows, and the number of rows of each kind on all pages."""

    page: Page[Row]
    counts: dict[str, int]


# Sort keys by the value in the URL, in descending order; ties are sorted by name.
_KEYS: dict[str, Callable[[Row], tuple[float, ...]]] = {
    "active": lambda row: (_known(row.active),),
    "dead_letter": lambda row: (_known(row.dead_letter),),
    "scheduled": lambda row: (_known(row.scheduled),),
    "size": lambda row: (row.share, _known(row.size_bytes)),
    "accessed": lambda row: (_known(row.accessed),),
}


def table(
    snapshot: Snapshot, *, search: str = "", kind: str = "", sort: str = "worst", page: str | None = None
) -> Table:
    """Return a page of the snapshot's entities.

    An unknown kind is ignored, an unknown order means worst first, and an invalid page number the first or last page.
    """
    words = search.lower()
    found = [row for row in _rows(snapshot) if words in row.name.lower() or words in row.topic.lower()]
    counts = {each: sum(row.kind == each for row in found) for each in KINDS}
    if kind in KINDS:
        found = [row for row in found if row.kind == kind]
    found.sort(key=lambda row: (row.topic or row.name, row.name))
    if sort in _KEYS:
        found.sort(key=_KEYS[sort], reverse=True)
    elif sort != "name":
        found.sort(key=_badness, reverse=True)
    return Table(Paginator(found, PAGE_SIZE).get_page(page), counts)


def _badness(row: Row) -> tuple[float, ...]:
    """Return the sort key for worst first: disabled, nearly full, most dead letters, most active messages."""
    return (
        bool(row.unusual_status),
        row.share if row.share > 0.8 else 0.0,
        _known(row.dead_letter),
        _known(row.active),
    )


def _known(value: float | None) -> float:
    return -1.0 if value is None else value


def _rows(snapshot: Snapshot) -> list[Row]:
    entities: list[tuple[str, Queue | Topic | Subscription]] = [
        *(("queue", each) for each in snapshot.queues),
        *(("topic", each) for each in snapshot.topics),
        *(("subscription", each) for each in snapshot.subscriptions),
    ]
    return [_row(kind, entity) for kind, entity in entities]


def _row(kind: str, entity: Queue | Topic | Subscription) -> Row:
    counts = entity.counts
    sized = None if isinstance(entity, Subscription) else entity
    return Row(
        kind=kind,
        name=entity.name,
        topic=entity.topic_name if isinstance(entity, Subscription) else "",
        status=entity.status,
        active=counts.active if counts else None,
        dead_letter=counts.dead_letter if counts else None,
        scheduled=counts.scheduled if counts else None,
        size_bytes=sized.size_bytes if sized else None,
        max_size_bytes=sized.max_size_bytes if sized else None,
        accessed=entity.accessed,
    )
