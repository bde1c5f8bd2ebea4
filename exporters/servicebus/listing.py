"""The pages of one listing, and the proof that together they miss nothing.

The service has no cursor: a page is what `$skip` and `$top` select at the moment of its request. If an entity is
deleted between two requests, everything behind it moves up by one place, and another entity can be on neither page.

Therefore pages overlap by one entity. The service lists entities in a fixed order, so a page holds every entity
between its first and its last one. Two pages that share an entity leave no gap between them. A chain of such pages,
from one at `$skip` 0 to one that announces no further page, holds every entity that existed throughout the read, in
whatever order the pages were requested. Where two neighbours share nothing, a page between them is requested; the
further back it begins, the larger the change that it bridges. A page at `$skip` 0 needs no neighbour before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from .errors import Reason, ServiceBusError

PAGE_SIZE = 100  # the service sends no more, whatever is requested
STEP = PAGE_SIZE - 1  # from one page to the next, which begins with the last entity of the one before

MAX_PAGES = 1_000
MAX_LISTING_REPAIRS = 20


class _Named(Protocol):
    @property
    def name(self) -> str: ...


E = TypeVar("E", bound=_Named)


@dataclass(slots=True)
class _Page(Generic[E]):
    skip: int
    names: list[str]  # of all entities on the page
    wanted: list[E]
    wanted_names: list[str]
    has_next: bool

    @property
    def last(self) -> int:
        """The place of its last entity in the listing."""
        return self.skip + len(self.names) - 1


class Tally(NamedTuple):
    """How many entities a listing has."""

    listed: int  # each counted once
    wanted: int  # of these, the ones to keep
    repeated: int  # how many came more often than the overlap of pages explains


class Listing(Generic[E]):
    """The queues or topics of a namespace, or the subscriptions of a topic."""

    def __init__(self, max_entities: int) -> None:
        """`max_entities`: how many to keep: the first in the listing, in whatever order its pages arrive."""
        self._enough = enough(max_entities)
        self._pages: list[_Page[E]] = []  # in order of arrival
        self._loose: dict[int, _Page[E]] = {}  # by $skip: those that are not part of the chain yet
        self._asked: set[int] = set()  # every $skip that was requested
        self._under_way: set[int] = set()
        self.requested = 0
        self.is_complete = False
        # The chain: its last page, and the names on all of its pages.
        self._front: _Page[E] | None = None
        self._chained: set[str] = set()
        self._end: int | None = None  # $skip of a page that announced no further one
        self._repairs = 0
        self._repair: int | None = None  # $skip of the page that should bridge a gap
        self._back = 0  # how far before the gap it begins
        self.held = 0  # entities

    # What to request

    def first_pages(self, number: int) -> Iterator[int]:
        """Yield the `$skip` of `number` pages to request concurrently; stop where the listing turns out to end.

        A yielded page counts as requested.
        """
        for skip in range(0, min(max(number, 1), MAX_PAGES) * STEP, STEP):
            is_past_end = self._end is not None and skip > self._end
            if self.is_complete or is_past_end or self.requested >= MAX_PAGES:
                return
            if skip not in self._asked:
                yield self._request(skip)

    def add(self, skip: int, page: list[E], wanted: list[E], next_skip: int | None) -> int | None:
        """Add a page; return the `$skip` of another one to request, or None if none is needed now.

        `wanted` are the entities of the page to keep. Raises ServiceBusError: malformed if the page contradicts itself,
        changed if the listing changes too fast to be read in full, too_large if it has too many pages.
        """
        self._under_way.discard(skip)
        has_next = next_skip is not None
        if next_skip is not None and next_skip <= skip:  # the listing would never end
            raise ServiceBusError(Reason.MALFORMED, "A listing's next page does not start after this one.")
        if has_next and len(page) < 2:  # one to share with the next page, and one of its own
            raise ServiceBusError(
                Reason.MALFORMED, "A page with fewer than two entities links to a next page."
            )
        names = [each.name for each in page]
        wanted_names = names if wanted is page else [each.name for each in wanted]
        came = _Page(skip, names, wanted, wanted_names, has_next)
        self._pages.append(came)
        self.held += len(wanted)
        if self.held > self._enough:
            self._let_go()
        if not skip and not has_next:  # the whole listing: the usual case
            self._front, self.is_complete = came, True
            return None
        self._loose[skip] = came
        if not has_next:
            self._end = skip if self._end is None else min(self._end, skip)
        return None if self.is_complete else self._advance()

    def _request(self, skip: int) -> int:
        if self.requested >= MAX_PAGES:
            raise ServiceBusError(
                Reason.TOO_LARGE,
                f"A listing has more than {MAX_PAGES} pages, the most that the hub reads.",
            )
        self.requested += 1
        self._asked.add(skip)
        self._under_way.add(skip)
        return skip

    # The proof

    def _advance(self) -> int | None:
        while (following := self._following()) is not None:
            self._front, self._repair, self._back = following, None, 0
            del self._loose[following.skip]
            if not following.has_next:
                self.is_complete = True
                return None
            self._chained.update(following.names)
        if self._front is None:
            return None  # the first page is still under way
        if self._repair is None:
            if self._front.last in self._under_way:
                return None
            if self._front.last not in self._loose:
                return self._request(self._front.last)
        elif self._repair in self._under_way:
            return None
        return self._bridge(self._front.last)

    def _following(self) -> _Page[E] | None:
        """Return a page that continues the chain."""
        front = self._front
        if front is None:
            return self._loose.get(0)
        if self._repair is not None and (repaired := self._joining(self._repair)) is not None:
            return repaired
        if (direct := self._joining(front.last)) is not None:
            return direct
        between = (skip for skip in sorted(self._loose, reverse=True) if front.skip < skip < front.last)
        return next((page for skip in between if (page := self._joining(skip)) is not None), None)

    def _joining(self, skip: int) -> _Page[E] | None:
        """Return the page at `skip` if it arrived and joins the chain: at the very start, or by sharing an entity."""
        page = self._loose.get(skip)
        if page is None or (skip > 0 and self._chained.isdisjoint(page.names)):
            return None
        return page

    def _bridge(self, gap: int) -> int:
        if self._repairs >= MAX_LISTING_REPAIRS:
            raise ServiceBusError(
                Reason.CHANGED,
                "Entities were added or deleted so fast that a listing could not be read completely.",
            )
        self._repairs += 1
        self._back = min(gap, max(PAGE_SIZE // 2, 2 * self._back))
        self._repair = gap - self._back
        self._loose.pop(self._repair, None)  # it doesn't join the chain; its entities are kept
        return self._request(self._repair)

    # The results

    @property
    def pages(self) -> int:
        """How many pages to request concurrently in the next read."""
        return 1 if self._front is None else min(self._front.skip // STEP + 1, MAX_PAGES)

    def tally(self) -> "Tally":
        """Count the entities on the pages that arrived."""
        if len(self._pages) == 1:
            (page,) = self._pages
            listed = len(set(page.names))
            wanted = listed if page.wanted_names is page.names else len(set(page.wanted_names))
            return Tally(listed, wanted, len(page.names) - listed)
        listed = _distinct([page.names for page in self._pages])
        places = end = 0
        for page in self._in_order():
            places += max(0, page.last + 1 - max(end, page.skip))
            end = max(end, page.last + 1)
        return Tally(
            listed, _distinct([page.wanted_names for page in self._pages]), repeated=max(0, places - listed)
        )

    def entities(self) -> dict[str, E]:
        """Return the first wanted entities by name, each once, in the order of the listing."""
        if len(self._pages) == 1:
            return {each.name: each for each in self._pages[0].wanted}
        found: dict[str, E] = {}
        for page in self._in_order():
            for entity in page.wanted:
                found.setdefault(entity.name, entity)
        return found

    def forget(self) -> None:
        """Discard the entities; they are still counted."""
        for page in self._pages:
            page.wanted = []
        self.held = 0

    def _let_go(self) -> None:
        while self.held > self._enough:
            farthest = max((page for page in self._pages if page.wanted), key=lambda page: page.skip)
            if self.held - len(farthest.wanted) < self._enough:
                break
            self.held -= len(farthest.wanted)
            farthest.wanted = []

    def _in_order(self) -> list[_Page[E]]:
        return sorted(self._pages, key=lambda page: page.skip)


def enough(max_entities: int) -> int:
    """Return how many entities to hold in order to show `max_entities`; entities on two pages are held twice."""
    return max_entities + max_entities // 4 + 4 * PAGE_SIZE


def _distinct(names: list[list[str]]) -> int:
    return len(set().union(*names))
