"""Everything of a namespace, side by side, within a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from . import atom, clock
from .bucket import Allowance
from .budget import Budget, unshared
from .client import Client, ThrottledError
from .connection import Endpoint
from .credentials import Credential
from .entities import Failure, NamespaceInfo, Snapshot, Subscription, Topic
from .errors import Reason, ServiceBusError
from .requests import Requests
from .selection import Selection
from .turns import LastRead, Turns
from .work import Work

API_VERSION = "2021-05"
PAGE_SIZE = 100  # the service sends no more, whatever is asked for

# What a topic's listing ends with; a listing of queues or topics has a shorter name.
_SUBSCRIPTIONS = "/subscriptions"
_FREELY = Allowance(requests_per_second=10_000, burst=10_000)


@dataclass(frozen=True, slots=True)
class Source:
    """What to read, and how."""

    endpoint: Endpoint
    credential: Credential
    entity_path: str = ""  # a queue or a topic: read that one alone
    include: str = ""  # RE2 that the whole name of a queue or topic must match; empty: all
    exclude: str = ""
    concurrency: int = 16  # requests under way at a time
    max_entities: int = 20_000
    # How many pages each listing had the last time; kept by the caller from read to read. All of them are then asked
    # for at once, where otherwise each page has to wait for the one before to announce it.
    known_pages: dict[str, int] = field(default_factory=dict)
    # What the last read learnt, asked for when the budget does not allow to read everything: its subscriptions then
    # stay for as long as max_age_seconds.
    last_read: LastRead | None = None
    max_age_seconds: float = 300.0


async def read_namespace(
    source: Source, client: Client, *, deadline: float, budget: Budget | None = None
) -> Snapshot:
    """Read the namespace and return what was learnt by `deadline`, a value of the running loop's time().

    Never raises ServiceBusError: what went wrong stands in the snapshot's `collectors`.
    """
    return await Read(source, client, deadline, budget or unshared(_FREELY)).run()


class Read:
    """One read; nothing of it is shared with another."""

    def __init__(self, source: Source, client: Client, deadline: float, budget: Budget) -> None:
        """`deadline`: a value of the running loop's time()."""
        self._source = source
        self._deadline = deadline
        self._budget = budget
        self._info: NamespaceInfo | None = None
        self._requests = Requests(client, source.endpoint, source.credential, budget, deadline)
        # Not the loop's clock: uvloop's counts in milliseconds.
        self._started, self._read_at, self._began_at = time.perf_counter(), time.time(), clock.now()
        self._selection = Selection(source.include, source.exclude, source.max_entities)
        self._turns = Turns(source.last_read, self._began_at - source.max_age_seconds)
        # Who may not see the SKU may still see the rest, which is under way anyway.
        self._work = Work(optional="namespace", job_ended=self._job_ended)
        self._failures = self._work.failures
        # By collector: the last page that had entities, counted from 1.
        self._pages: dict[str, int] = {}
        # Pages that were asked for, by listing: a page that another announces is asked for once, whatever was known
        # of the listing beforehand, and also where pages turn out to be shorter than usual.
        self._asked: dict[str, set[int]] = {}
        # Until when a request for subscriptions may wait for the budget.
        self._subscriptions_until = deadline

    async def run(self) -> Snapshot:
        now = asyncio.get_running_loop().time()
        # A namespace that is too large for its budget takes half of its deadline, and is not held up for all of it to
        # squeeze in a few topics more.
        self._subscriptions_until = now + (self._deadline - now) / 2
        if self._source.entity_path:
            # Nothing else: an entity's own key opens nothing else, not even the namespace's SKU.
            self._work.add("entity", self._read_entity)
        else:
            await self._turns.begin(self._source.known_pages, self._budget, self._subscriptions_until)
            self._work.add("namespace", self._read_info)
            self._add_listing("queues", self._read_queues)
            self._add_listing("topics", self._read_topics)
            self._failures["subscriptions"] = None
        await self._work.run(self._source.concurrency, self._deadline)
        await self._carry_over()
        self._remember_pages()
        info = self._failures.get("namespace")
        if info is not None and info.reason is Reason.NOT_FOUND and self._failures["queues"] is None:
            # Not every endpoint has $namespaceinfo. Where the listings are there it is merely unknown.
            self._failures["namespace"] = None
        unlisted = self._failures.get("topics")
        if unlisted is not None:  # whose subscriptions there would be is not known
            self._work.fail("subscriptions", unlisted)
        found = self._selection
        return Snapshot(
            queues=tuple(found.queues.values()),
            topics=tuple(found.topics.values()),
            subscriptions=tuple(found.subscriptions.values()),
            info=self._info,
            collectors=self._failures,
            dropped=found.dropped,
            requests=self._requests.sent,
            throttled_requests=self._requests.throttled,
            duration_seconds=time.perf_counter() - self._started,
            read_at=self._read_at,
            began_at=self._began_at,
            topics_read_at=self._turns.read_at,
            topics_unread=self._turns.unread(found.topics),
            budget_requests_per_second=await self._budget.close(),
        )

    async def subscriptions_of(self, topics: Sequence[Topic]) -> dict[str, list[Subscription]]:
        """Read the subscriptions of these topics alone, in this order; return those that were read whole, by topic."""
        found = self._selection
        for topic in topics:
            found.topics[topic.name] = topic
            self._add_subscriptions(topic)
        await self._work.run(self._source.concurrency, self._deadline)
        await self._budget.close()
        whole: dict[str, list[Subscription]] = {
            name: [] for name in found.topics.keys() - self._turns.unread(found.topics)
        }
        for (topic_name, _), subscription in found.subscriptions.items():
            if topic_name in whole:
                whole[topic_name].append(subscription)
        return whole

    def _job_ended(self, collector: str) -> None:
        if collector == "topics" and self._turns.is_holding and not self._work.is_open("topics"):
            self._work.add("subscriptions", self._add_in_order)

    # The collectors

    async def _read_info(self) -> None:
        self._info = atom.parse_namespace_info(
            await self._requests.get(f"/$namespaceinfo?api-version={API_VERSION}")
        )
        if self._info.sku:
            await self._budget.learn_sku(self._info.sku)

    def _add_listing(self, collector: str, read_page: Callable[[int], Awaitable[None]]) -> None:
        for page in range(max(1, self._source.known_pages.get(collector, 1))):
            self._add_page(collector, collector, page * PAGE_SIZE, read_page)

    def _add_page(
        self, collector: str, listing: str, skip: int, read_page: Callable[[int], Awaitable[None]]
    ) -> bool:
        """Ask for a page; tell whether it was not asked for already."""
        asked = self._asked.setdefault(listing, set())
        if skip in asked:
            return False
        asked.add(skip)
        self._work.add(collector, partial(read_page, skip))
        return True

    def _go_on(
        self, collector: str, skip: int, page: atom.Page[Any], read_page: Callable[[int], Awaitable[None]]
    ) -> None:
        """Note a page that has come, and add the one that it announces."""
        if page.entities:
            self._pages[collector] = max(self._pages.get(collector, 0), skip // PAGE_SIZE + 1)
        if page.next_skip is not None:
            self._add_page(collector, collector, _behind(skip, page.next_skip), read_page)

    async def _read_queues(self, skip: int) -> None:
        page = atom.parse_queues(await self._requests.get(_listing("/$Resources/queues", skip)))
        self._go_on("queues", skip, page, self._read_queues)
        for queue in page.entities:
            self._selection.add_queue(queue)

    async def _read_topics(self, skip: int) -> None:
        page = atom.parse_topics(await self._requests.get(_listing("/$Resources/topics", skip)))
        self._go_on("topics", skip, page, self._read_topics)
        for topic in page.entities:
            if self._selection.add_topic(topic) and not self._turns.hold(topic):
                self._add_subscriptions(topic)

    async def _add_in_order(self) -> None:
        """Add the subscriptions of the topics that had to wait, the longest unread first."""
        for topic in await self._turns.in_order():
            self._add_subscriptions(topic)

    def _add_subscriptions(self, topic: Topic) -> None:
        # The topic says how many there are, so the pages need not wait for each other.
        count = topic.subscription_count
        pages = 1 if count is None else -(-count // PAGE_SIZE)
        for page in range(pages):
            self._add_subscriptions_page(topic.name, page * PAGE_SIZE)

    def _add_subscriptions_page(self, topic_name: str, skip: int) -> None:
        read_page = partial(self._read_subscriptions, topic_name)
        if self._add_page("subscriptions", topic_name + _SUBSCRIPTIONS, skip, read_page):
            self._turns.page_asked_for(topic_name)

    async def _read_subscriptions(self, topic_name: str, skip: int) -> None:
        if self._turns.refusal is not None:
            self._turns.keep_back(topic_name, self._turns.refusal)
            return
        path = _listing(f"/{quote(topic_name, safe='')}/subscriptions", skip)
        try:
            page = atom.parse_subscriptions(
                await self._requests.get(path, self._subscriptions_until), topic_name
            )
        except ServiceBusError as error:
            match error.reason:
                case Reason.NOT_FOUND:
                    # Deleted since the listing: gone, and no failure.
                    self._selection.topics.pop(topic_name, None)
                case Reason.BUDGET | Reason.THROTTLED:
                    failure = Failure(error.reason, error.message)
                    self._turns.keep_back(topic_name, failure)
                    if not isinstance(error, ThrottledError):
                        # It is the budget that has spoken: for all of them.
                        self._turns.refusal = failure
                case _:
                    raise
            return
        for subscription in page.entities:
            self._selection.add_subscription(subscription)
        if page.next_skip is not None:
            self._add_subscriptions_page(topic_name, _behind(skip, page.next_skip))
        self._turns.page_read(topic_name)

    async def _read_entity(self) -> None:
        """Read the one entity that the credential is for: a queue, or a topic with its subscriptions."""
        path = f"/{quote(self._source.entity_path, safe='')}?enrich=false&api-version={API_VERSION}"
        body = await self._requests.get(path)
        if atom.kind_of_entry(body) == "topic":
            self._failures["topics"] = self._failures["subscriptions"] = None
            for topic in atom.parse_topics(body).entities:
                self._selection.topics[topic.name] = topic
                self._add_subscriptions(topic)
        else:
            self._failures["queues"] = None
            for queue in atom.parse_queues(body).entities:
                self._selection.queues[queue.name] = queue
        del self._failures["entity"]  # it has become one of the others

    # After all is read

    async def _carry_over(self) -> None:
        """Put what is known from earlier reads in the place of what was not read; what is too old is a failure."""
        for failure, known in await self._turns.stand_ins(self._selection.topics):
            if known is None:
                self._work.fail("subscriptions", failure)
                continue
            for subscription in known:
                # Of a topic with several pages some may have been read.
                if (subscription.topic_name, subscription.name) not in self._selection.subscriptions:
                    self._selection.add_subscription(subscription)

    def _remember_pages(self) -> None:
        """Note for the next read how many pages each listing has."""
        for collector, pages in self._pages.items():
            if self._failures.get(collector) is None:
                self._source.known_pages[collector] = pages
        asked = sum(len(pages) for listing, pages in self._asked.items() if listing.endswith(_SUBSCRIPTIONS))
        if asked and self._failures.get("topics") is None:
            self._source.known_pages["subscriptions"] = asked


def _listing(path: str, skip: int) -> str:
    return f"{path}?$skip={skip}&$top={PAGE_SIZE}&api-version={API_VERSION}"


def _behind(skip: int, following: int) -> int:
    if following <= skip:  # it would be read for ever
        raise ServiceBusError(Reason.MALFORMED, "A listing's next page does not lie behind this one.")
    return following
