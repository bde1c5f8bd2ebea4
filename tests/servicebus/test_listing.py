"""Listings that change while they are read, without a network: requests, changes and responses in every order."""

from dataclasses import dataclass
from itertools import islice
from random import Random
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.servicebus.errors import Reason, ServiceBusError
from exporters.servicebus.listing import MAX_LISTING_REPAIRS, MAX_PAGES, PAGE_SIZE, STEP, Listing, enough


@dataclass(frozen=True)
class Entity:
    name: str


class Service:
    """Lists its entities by name."""

    def __init__(self, number: int, page_size: int = PAGE_SIZE) -> None:
        self.names = [f"{each:06}" for each in range(0, number * 1000, 1000)]
        self.untouched = set(self.names)
        self.page_size = page_size

    def page(self, skip: int) -> tuple[list[Entity], int | None]:
        following = skip + self.page_size
        found = [Entity(name) for name in self.names[skip:following]]
        return found, following if following < len(self.names) else None

    def change(self, random: Random) -> None:
        at = random.randrange(len(self.names) + 1)
        match random.choice(["delete", "delete", "add", "replace", "delete many", "add many"]):
            case "delete":
                self._delete(at, 1)
            case "add":
                self._add(at, 1, random)
            case "replace":
                self._delete(at, 1)
                self._add(at, 1, random)
            case "delete many":
                self._delete(at, random.randrange(300))
            case "add many":
                self._add(at, random.randrange(300), random)

    def _delete(self, at: int, number: int) -> None:
        self.untouched -= set(self.names[at : at + number])
        del self.names[at : at + number]

    def _add(self, at: int, number: int, random: Random) -> None:
        before = self.names[at - 1] if at else "000000"
        new = {f"{before}-{random.randrange(10**9):09}" for _ in range(number)}
        self.names = sorted({*self.names, *new})


def read(
    service: Service,
    listing: Listing[Entity],
    known_pages: int,
    concurrency: int,
    random: Random,
    changes: int,
) -> None:
    """Read a listing: requests are sent, served and answered in random order, with changes in between."""
    waiting = listing.first_pages(known_pages)
    next_ones: list[int] = []
    sent: list[int] = []
    served: list[tuple[int, tuple[list[Entity], int | None]]] = []
    while True:
        while len(sent) + len(served) < concurrency:
            skip = next_ones.pop() if next_ones else next(waiting, None)
            if skip is None:
                break
            sent.append(skip)
        if not sent and not served:
            return None
        if changes and random.random() < 0.3:
            service.change(random)
            changes -= 1
        if sent and (not served or random.random() < 0.5):
            skip = sent.pop(random.randrange(len(sent)))
            served.append((skip, service.page(skip)))
        else:
            skip, (page, next_skip) = served.pop(random.randrange(len(served)))
            try:
                following = listing.add(skip, page, page, next_skip)
            except ServiceBusError as error:
                return error.reason
            if following is not None:
                next_ones.append(following)


@settings(max_examples=300)
@given(
    number=st.integers(0, 700),
    page_size=st.sampled_from([PAGE_SIZE, PAGE_SIZE, 99, 40, 7]),
    known_pages=st.integers(1, 9),
    concurrency=st.integers(1, 6),
    changes=st.integers(0, 12),
    seed=st.integers(0, 10**6),
)
def test_no_untouched_entity_is_missing_from_a_listing_that_is_complete(
    number: int, page_size: int, known_pages: int, concurrency: int, changes: int, seed: int
) -> None:
    service, listing = Service(number, page_size), Listing[Entity](100_000)
    if (given_up := read(service, listing, known_pages, concurrency, Random(seed), changes)) is not None:
        assert changes
        assert given_up is Reason.CHANGED
    else:
        assert listing.is_complete
        assert service.untouched <= listing.entities().keys()
    assert listing.requested < MAX_PAGES


@given(number=st.integers(0, 1_500), known_pages=st.integers(1, 20), concurrency=st.integers(1, 6))
def test_a_listing_at_rest_costs_no_request_twice_and_repeats_nothing(
    number: int, known_pages: int, concurrency: int
) -> None:
    listing = Listing[Entity](100_000)
    read(Service(number), listing, known_pages, concurrency, Random(number), changes=0)
    needed = 1 if number <= PAGE_SIZE else -(-(number - 1) // STEP)
    assert listing.is_complete
    assert listing.pages == needed
    assert needed <= listing.requested <= max(needed, min(known_pages, needed + concurrency))
    assert listing.tally() == (number, number, 0)
    assert len(listing.entities()) == number


def test_a_deletion_between_two_pages_costs_one_request() -> None:
    service, listing = Service(450), Listing[Entity](1_000)
    pages = list(listing.first_pages(5))
    assert listing.add(0, *twice(service.page(0))) is None
    service._delete(10, 1)
    repair = listing.add(99, *twice(service.page(99)))
    assert repair == 49
    assert listing.add(repair, *twice(service.page(repair))) is None
    for skip in pages[2:]:
        assert listing.add(skip, *twice(service.page(skip))) is None
    assert listing.is_complete
    assert service.untouched <= listing.entities().keys()


class Restless(Service):
    """Every page has different entities."""

    def page(self, skip: int) -> tuple[list[Entity], int | None]:
        return [Entity(uuid4().hex) for _ in range(PAGE_SIZE)], skip + PAGE_SIZE


class Stuck(Service):
    """Every page is the same."""

    def page(self, skip: int) -> tuple[list[Entity], int | None]:
        return super().page(0)[0], skip + PAGE_SIZE


@pytest.mark.parametrize("known_pages", [1, 5])
def test_a_listing_that_never_holds_still_is_given_up(known_pages: int) -> None:
    listing = Listing[Entity](1_000)
    assert read(Restless(0), listing, known_pages, 4, Random(1), changes=0) is Reason.CHANGED
    assert listing.requested <= 3 * MAX_LISTING_REPAIRS


@pytest.mark.parametrize("known_pages", [1, 5, 10**12])
def test_a_service_that_lists_the_same_page_for_ever_is_given_up(known_pages: int) -> None:
    listing = Listing[Entity](1_000)
    assert read(Stuck(PAGE_SIZE), listing, known_pages, 4, Random(1), changes=0) is Reason.TOO_LARGE
    assert listing.requested == MAX_PAGES


@pytest.mark.parametrize(
    ("skip", "number", "next_skip"),
    [(0, 100, 0), (99, 100, 50), (99, 100, 99), (0, 0, 100), (0, 1, 30_000_000)],
)
def test_a_page_that_contradicts_itself_is_malformed(skip: int, number: int, next_skip: int) -> None:
    page = [Entity(str(each)) for each in range(number)]
    with pytest.raises(ServiceBusError) as raised:
        Listing[Entity](1_000).add(skip, page, page, next_skip)
    assert raised.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("known_pages", [30_000_000, 10**12])
def test_pages_that_nobody_has_seen_are_not_requested_once_the_listing_has_ended(known_pages: int) -> None:
    listing = Listing[Entity](1_000)
    pages = listing.first_pages(known_pages)
    assert list(islice(pages, 3)) == [0, 99, 198]
    page = [Entity("orders")]
    assert listing.add(0, page, page, None) is None
    assert list(pages) == []
    assert listing.pages == 1


def test_no_more_pages_are_requested_side_by_side_than_a_listing_may_have() -> None:
    assert len(list(Listing[Entity](1_000).first_pages(10**12))) == MAX_PAGES


@given(
    number=st.integers(0, 700),
    max_entities=st.integers(1, 300),
    known_pages=st.integers(1, 9),
    seed=st.integers(0, 10**6),
)
def test_the_first_entities_are_kept_whatever_page_comes_first(
    number: int, max_entities: int, known_pages: int, seed: int
) -> None:
    service, listing = Service(number), Listing[Entity](max_entities)
    read(service, listing, known_pages, 5, Random(seed), changes=0)
    assert list(listing.entities())[:max_entities] == service.names[:max_entities]
    assert listing.tally().wanted == number
    assert listing.held < enough(max_entities) + PAGE_SIZE


def twice(page: tuple[list[Entity], int | None]) -> tuple[list[Entity], list[Entity], int | None]:
    return page[0], page[0], page[1]
