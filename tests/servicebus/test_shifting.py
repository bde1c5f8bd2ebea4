"""Reads of an endpoint whose entities come and go, and of endpoints with wrong links and counts."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.servicebus.client import Client
from exporters.servicebus.connection import EndpointPolicy, parse_host
from exporters.servicebus.credentials import SharedKeyCredential
from exporters.servicebus.entities import Snapshot
from exporters.servicebus.errors import Reason
from exporters.servicebus.listing import MAX_LISTING_REPAIRS, STEP
from exporters.servicebus.read_options import ReadOptions
from exporters.servicebus.reader import read_namespace
from simulator.certificates import CertificateStore

from .strangers import Stranger

CONCURRENCY = 6
SOURCE = ReadOptions(parse_host("localhost"), SharedKeyCredential("root", "a2V5"), concurrency=CONCURRENCY)
over_https = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(
    stranger: Stranger, certificates: Path, source: ReadOptions = SOURCE, times: int = 1
) -> list[Snapshot]:
    """Read the namespace several times with one client."""

    async def reads() -> list[Snapshot]:
        store = CertificateStore(certificates)
        async with stranger.serving(store.context()):
            client = Client(EndpointPolicy(allow_loopback=True), str(store.ca_file))
            try:
                endpoint = parse_host(f"stranger.servicebus.localhost:{stranger.port}")
                return [
                    await read_namespace(
                        replace(source, endpoint=endpoint),
                        client,
                        deadline=asyncio.get_running_loop().time() + 30,
                    )
                    for _ in range(times)
                ]
            finally:
                await client.close()
                await asyncio.sleep(0.05)

    return asyncio.run(reads())


class Names:
    """Names in a fixed order that come and go."""

    def __init__(self, prefix: str, number: int, random: Random) -> None:
        self.prefix, self.random = prefix, random
        self.listed = [f"{prefix}-{each:04}" for each in range(number)]
        self.untouched = set(self.listed)

    def change(self) -> None:
        at = self.random.randrange(len(self.listed) + 1)
        if self.random.random() < 0.6:
            several = self.random.choice([1, 1, 1, 2, 60])
            self.untouched -= set(self.listed[at : at + several])
            del self.listed[at : at + several]
        else:
            before = self.listed[at - 1] if at else self.prefix
            self.listed.insert(at, f"{before}+{self.random.randrange(10**6):06}")
            self.listed.sort()


@over_https
@given(
    queues=st.integers(0, 330),
    topics=st.integers(0, 3),
    subscriptions=st.integers(0, 330),
    changes=st.floats(0, 1),
    page_size=st.sampled_from([100, 100, 30]),
    seed=st.integers(0, 10**6),
)
def test_every_untouched_entity_is_there_or_the_collector_has_failed(
    certificates: Path,
    queues: int,
    topics: int,
    subscriptions: int,
    changes: float,
    page_size: int,
    seed: int,
) -> None:
    random = Random(seed)
    of_queues = Names("queue", queues, random)
    of_topics = {f"topic-{each}": Names("subscription", subscriptions, random) for each in range(topics)}
    stranger = Stranger(
        of_queues.listed, {name: names.listed for name, names in of_topics.items()}, page_size=page_size
    )

    def change() -> None:
        if random.random() < changes:
            random.choice([of_queues, *of_topics.values()]).change()

    stranger.before_page = change
    known_pages: dict[str, int] = {}
    for snapshot in read(stranger, certificates, replace(SOURCE, known_pages=known_pages), times=2):
        assert reasons_of_listings(snapshot) <= {Reason.CHANGED}
        if snapshot.collectors["queues"] is None:
            assert of_queues.untouched <= {queue.name for queue in snapshot.queues}
        if snapshot.collectors["subscriptions"] is None:
            found = {(each.topic_name, each.name) for each in snapshot.subscriptions}
            assert {(topic, name) for topic, names in of_topics.items() for name in names.untouched} <= found
        names = [queue.name for queue in snapshot.queues]
        assert len(set(names)) == len(names)
        # A deletion before the second read is not one between pages; the names it left count as untouched from then on.


@pytest.mark.parametrize("change", ["delete", "add", "delete the last of a page"])
@pytest.mark.parametrize("at", range(1, 6))
def test_one_change_between_two_pages_is_noticed_and_made_good(
    certificates: Path, change: str, at: int
) -> None:
    queues = [f"queue-{each:04}" for each in range(450)]
    untouched = set(queues)
    pages = 0

    def before_page() -> None:
        nonlocal pages
        pages += 1
        if pages != at:
            return
        match change:
            case "delete":
                untouched.discard(queues.pop(3))
            case "add":
                queues.insert(3, "queue-0002a")
            case _:
                untouched.discard(queues.pop(99))

    stranger = Stranger(queues, before_page=before_page)
    (snapshot,) = read(stranger, certificates, replace(SOURCE, known_pages={"queues": 5}))
    assert reasons_of_listings(snapshot) == set()
    assert untouched <= {queue.name for queue in snapshot.queues}
    assert snapshot.requests <= 2 + 5 + 2


# $skip of a page and the correct next $skip -> the one that the page announces.
LINKS: dict[str, Callable[[int, int | None], int | None]] = {
    "far away": lambda skip, following: 10**12,
    "30 million": lambda skip, following: 30_000_000,
    "a gap": lambda skip, following: 300 if following == 100 else following,
    "backwards": lambda skip, following: max(0, skip - 100),
    "the same": lambda skip, following: skip,
    "the same, later": lambda skip, following: following and 100,
    "without end": lambda skip, following: skip + 100,
}


@pytest.mark.parametrize("number", [0, 1, 2, 100, 450])
@pytest.mark.parametrize("links", LINKS)
def test_links_that_are_wrong_hide_nothing_and_end(certificates: Path, links: str, number: int) -> None:
    queues = [f"queue-{each:04}" for each in range(number)]
    known_pages: dict[str, int] = {}
    source = replace(SOURCE, known_pages=known_pages)
    for snapshot in read(Stranger(queues, announced=LINKS[links]), certificates, source, times=2):
        assert reasons_of_listings(snapshot) <= {Reason.MALFORMED, Reason.CHANGED}
        if snapshot.collectors["queues"] is None:
            assert [queue.name for queue in snapshot.queues] == queues
        assert snapshot.requests < 2 * (5 + 2 * MAX_LISTING_REPAIRS)
        assert known_pages.get("queues", 1) <= 5
        if links == "a gap":
            assert reasons_of_listings(snapshot) == set()


@over_https
@given(
    number=st.integers(0, 300),
    page_size=st.sampled_from([1, 2, 3, 50, 100]),
    links=st.lists(st.none() | st.integers(0, 500) | st.integers(0, 10**13), max_size=6),
    known_pages=st.sampled_from([1, 4, 30_000_000, 10**12]),
    count=st.integers(-5, 500) | st.integers(-(10**12), 10**12),
)
def test_whatever_links_counts_and_pages_say_a_read_ends(
    certificates: Path, number: int, page_size: int, links: list[int | None], known_pages: int, count: int
) -> None:
    names = [f"name-{each:04}" for each in range(number)]
    said = iter(links)

    def announced(skip: int, following: int | None) -> int | None:
        return next(said, following)

    stranger = Stranger(names, {"events": names}, page_size, announced=announced, subscription_count=count)
    known = {"queues": known_pages, "topics": known_pages}
    (snapshot,) = read(stranger, certificates, replace(SOURCE, known_pages=known))
    assert reasons_of_listings(snapshot) <= {Reason.MALFORMED, Reason.CHANGED}
    if snapshot.collectors["queues"] is None:
        # A page that announces no next page ends the listing.
        assert [queue.name for queue in snapshot.queues] == names or None in links
    a_listing = number // max(page_size - 1, 1) + 2 * MAX_LISTING_REPAIRS + 2 * CONCURRENCY + len(links)
    assert snapshot.requests <= 1 + 3 * a_listing
    if snapshot.collectors["queues"] is None:
        assert known["queues"] <= 1 + number // STEP + len(links)


def reasons_of_listings(snapshot: Snapshot) -> set[Reason]:
    return {
        failure.reason for name, failure in snapshot.collectors.items() if failure and name != "namespace"
    }
