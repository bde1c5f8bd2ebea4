"""Everything of a namespace, side by side, within a deadline."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import re2

from . import atom
from .bucket import Allowance
from .budget import Budget, unshared
from .carryover import Former
from .client import Client, ThrottledError
from .connection import Endpoint
from .credentials import Credential, CredentialPair
from .entities import Failure, NamespaceInfo, Queue, Snapshot, Subscription, Topic
from .errors import Reason, ServiceBusError
from .work import Work

API_VERSION = "2021-05"
PAGE_SIZE = 100  # the service sends no more, whatever is asked for

# What a topic's listing ends with; a listing of queues or topics has a shorter name.
_SUBSCRIPTIONS = "/subscriptions"
# A request that is throttled is repeated, as far as the slowed-down budget allows, before its part of the read fails.
_ATTEMPTS = 3
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
    last_read: Callable[[], Awaitable[Snapshot | None]] | None = None
    max_age_seconds: float = 300.0


async def read_namespace(
    source: Source, client: Client, *, deadline: float, budget: Budget | None = None
) -> Snapshot:
    """Read the namespace and return what was learnt by `deadline`, a value of the running loop's time().

    Never raises ServiceBusError: what went wrong stands in the snapshot's `collectors`.
    """
    return await Read(source, client, deadline, budget or unshared(_FREELY)).run()


@dataclass
class Read:
    """One read; nothing of it is shared with another."""

    source: Source
    client: Client
    deadline: float
    budget: Budget
    info: NamespaceInfo | None = None
    queues: dict[str, Queue] = field(default_factory=dict)
    topics: dict[str, Topic] = field(default_factory=dict)
    subscriptions: dict[tuple[str, str], Subscription] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    throttled: int = 0

    def __post_init__(self) -> None:
        self._wanted = _name_filter(self.source.include, self.source.exclude)
        # Who may not see the SKU may still see the rest, which is under way anyway.
        self._work = Work(optional="namespace", job_ended=self._job_ended)
        self.failures = self._work.failures
        self._pages: dict[str, int] = {}
        # Pages that were asked for, by listing: a page that another announces is asked for once, whatever was known
        # of the listing beforehand, and also where pages turn out to be shorter than usual.
        self._asked: dict[str, set[int]] = {}
        # Until when a request for subscriptions may wait for the budget: a namespace that is too large for it takes
        # half of its deadline, and is not held up for all of it to squeeze in a few topics more.
        self._halfway = self.deadline
        self._read_at = 0.0
        # Too large for its budget: topics wait here until all are known, then the longest unread comes first.
        self._held: list[Topic] | None = None
        self._refused: Failure | None = None  # the budget's no to subscriptions
        self._unread: dict[
            str, Failure
        ] = {}  # topic -> why the budget did not allow to read its subscriptions
        self._pages_left: Counter[str] = Counter()  # by topic
        self._carried: dict[str, float] = {}
        self._former: Former | None = None

    async def run(self) -> Snapshot:
        # Not the loop's clock: uvloop's counts in milliseconds.
        started, self._read_at = time.perf_counter(), time.time()
        now = asyncio.get_running_loop().time()
        self._halfway = now + (self.deadline - now) / 2
        if self.source.entity_path:
            # Nothing else: an entity's own key opens nothing else, not even the namespace's SKU.
            self._work.add("entity", self._read_entity)
        else:
            if await self._is_too_large():
                self._held = []
            self._work.add("namespace", self._read_info)
            self._add_listing("queues", self._read_queues)
            self._add_listing("topics", self._read_topics)
            self.failures["subscriptions"] = None
        await self._work.run(self.source.concurrency, self.deadline)
        await self._carry_over()
        for collector, pages in self._pages.items():
            if self.failures.get(collector) is None:
                self.source.known_pages[collector] = pages
        info = self.failures.get("namespace")
        if info is not None and info.reason is Reason.NOT_FOUND and self.failures["queues"] is None:
            # Not every endpoint has $namespaceinfo. Where the listings are there it is merely unknown.
            self.failures["namespace"] = None
        unlisted = self.failures.get("topics")
        if unlisted is not None:  # whose subscriptions there would be is not known
            self._work.fail("subscriptions", unlisted)
        return Snapshot(
            queues=tuple(self.queues.values()),
            topics=tuple(self.topics.values()),
            subscriptions=tuple(self.subscriptions.values()),
            info=self.info,
            collectors=self.failures,
            dropped=self.dropped,
            requests=self.requests,
            throttled_requests=self.throttled,
            duration_seconds=time.perf_counter() - started,
            read_at=self._read_at,
            topics_read_at=self._carried,
            topics_unread=self._topics_unread(),
            budget_requests_per_second=await self.budget.close(),
        )

    async def subscriptions_of(self, topics: Sequence[Topic]) -> dict[str, list[Subscription]]:
        """Read the subscriptions of these topics alone, in this order; return those that were read whole, by topic."""
        self._read_at = time.time()
        for topic in topics:
            self.topics[topic.name] = topic
            self._add_subscriptions(topic)
        await self._work.run(self.source.concurrency, self.deadline)
        await self.budget.close()
        whole: dict[str, list[Subscription]] = {
            name: [] for name in self.topics.keys() - self._topics_unread()
        }
        for (topic_name, _), subscription in self.subscriptions.items():
            if topic_name in whole:
                whole[topic_name].append(subscription)
        return whole

    def _job_ended(self, collector: str) -> None:
        if collector == "topics" and self._held and not self._work.is_open("topics"):
            self._work.add("subscriptions", self._add_held)

    async def _get(self, path: str, wait_until: float | None = None) -> bytes:
        authorization = await self.source.credential.authorization(self.source.endpoint)
        attempts, refused = _ATTEMPTS, False
        while True:
            await self.budget.acquire(self.deadline if wait_until is None else wait_until)
            self.requests += 1
            try:
                return await self.client.get(self.source.endpoint, path, authorization)
            except ThrottledError as error:
                self.throttled += 1
                await self.budget.throttled(error.retry_after)
                attempts -= 1
                if not attempts:
                    raise
            except ServiceBusError as error:
                pair = self.source.credential
                if refused or error.reason is not Reason.UNAUTHORIZED or not isinstance(pair, CredentialPair):
                    raise
                other = await pair.after_refusal(self.source.endpoint, authorization)
                if other is None:
                    raise
                authorization, refused = other, True

    # The collectors

    async def _read_info(self) -> None:
        self.info = atom.parse_namespace_info(await self._get(f"/$namespaceinfo?api-version={API_VERSION}"))
        if self.info.sku:
            await self.budget.learn_sku(self.info.sku)

    def _add_listing(self, collector: str, read_page: Callable[[int], Awaitable[None]]) -> None:
        for page in range(max(1, self.source.known_pages.get(collector, 1))):
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
        page = atom.parse_queues(await self._get(_listing("/$Resources/queues", skip)))
        self._go_on("queues", skip, page, self._read_queues)
        for queue in page.entities:
            if self._takes(queue.name, queue.name in self.queues):
                self.queues[queue.name] = queue

    async def _read_topics(self, skip: int) -> None:
        page = atom.parse_topics(await self._get(_listing("/$Resources/topics", skip)))
        self._go_on("topics", skip, page, self._read_topics)
        for topic in page.entities:
            if self._takes(topic.name, topic.name in self.topics):
                self.topics[topic.name] = topic
                if self._held is None:
                    self._add_subscriptions(topic)
                else:
                    self._held.append(topic)

    def _add_subscriptions(self, topic: Topic) -> None:
        # The topic says how many there are, so the pages need not wait for each other.
        count = topic.subscription_count
        pages = 1 if count is None else -(-count // PAGE_SIZE)
        for page in range(pages):
            self._add_subscriptions_page(topic.name, page * PAGE_SIZE)

    def _add_subscriptions_page(self, topic_name: str, skip: int) -> None:
        read_page = partial(self._read_subscriptions, topic_name)
        if self._add_page("subscriptions", topic_name + _SUBSCRIPTIONS, skip, read_page):
            self._pages_left[topic_name] += 1

    async def _read_subscriptions(self, topic_name: str, skip: int) -> None:
        if self._refused is not None:
            self._unread[topic_name] = self._refused
            return
        path = _listing(f"/{quote(topic_name, safe='')}/subscriptions", skip)
        try:
            page = atom.parse_subscriptions(await self._get(path, self._halfway), topic_name)
        except ServiceBusError as error:
            match error.reason:
                case Reason.NOT_FOUND:
                    # Deleted since the listing: gone, and no failure.
                    self.topics.pop(topic_name, None)
                case Reason.BUDGET | Reason.THROTTLED:
                    self._unread[topic_name] = Failure(error.reason, error.message)
                    if not isinstance(error, ThrottledError):
                        # It is the budget that has spoken: for all of them.
                        self._refused = self._unread[topic_name]
                case _:
                    raise
            return
        for subscription in page.entities:
            key = (topic_name, subscription.name)
            if key in self.subscriptions:
                self._drop("duplicate")
            elif self._has_room():
                self.subscriptions[key] = subscription
        if page.next_skip is not None:
            self._add_subscriptions_page(topic_name, _behind(skip, page.next_skip))
        self._pages_left[topic_name] -= 1

    # A namespace with more topics than its budget allows to read at once

    async def _is_too_large(self) -> bool:
        """Tell whether it was so large the last time that its budget will not allow to read all of it."""
        if not self.source.known_pages.get("subscriptions"):
            return False
        return await self.budget.affordable(self._halfway) < 1 + sum(self.source.known_pages.values())

    async def _add_held(self) -> None:
        """Add the topics that waited, the longest unread first."""
        held, self._held = self._held or [], None
        former = await self._load_former()
        for topic in sorted(held, key=former.read_at):
            self._add_subscriptions(topic)

    async def _carry_over(self) -> None:
        """Put what is known from earlier reads in the place of what was not read; what is too old is a failure."""
        if self._unread:
            former = await self._load_former()
            for name in set(self._unread) & set(self.topics):
                self._carry_over_topic(self.topics[name], former)
        asked = sum(len(pages) for listing, pages in self._asked.items() if listing.endswith(_SUBSCRIPTIONS))
        if asked and self.failures.get("topics") is None:
            self.source.known_pages["subscriptions"] = asked

    def _carry_over_topic(self, topic: Topic, former: Former) -> None:
        failure = self._unread[topic.name]
        known = former.subscriptions(topic)
        if known is None:
            self._work.fail("subscriptions", failure)
            return
        del self._unread[topic.name]
        self._carried[topic.name] = former.read_at(topic)
        for subscription in known:
            # Of a topic with several pages some may have been read.
            if (topic.name, subscription.name) not in self.subscriptions and self._has_room():
                self.subscriptions[topic.name, subscription.name] = subscription

    def _topics_unread(self) -> frozenset[str]:
        """Return the topics of whose subscriptions something is not known, for whatever reason."""
        held = {topic.name for topic in self._held or ()}
        unread = {name for name in self.topics if self._pages_left[name] or name in held}
        return frozenset(unread - self._carried.keys())

    async def _load_former(self) -> Former:
        if self._former is None:
            snapshot = await self.source.last_read() if self.source.last_read is not None else None
            self._former = Former(snapshot, self._read_at - self.source.max_age_seconds)
        return self._former

    async def _read_entity(self) -> None:
        """Read the one entity that the credential is for: a queue, or a topic with its subscriptions."""
        path = f"/{quote(self.source.entity_path, safe='')}?enrich=false&api-version={API_VERSION}"
        body = await self._get(path)
        if atom.kind_of_entry(body) == "topic":
            self.failures["topics"] = self.failures["subscriptions"] = None
            for topic in atom.parse_topics(body).entities:
                self.topics[topic.name] = topic
                self._add_subscriptions(topic)
        else:
            self.failures["queues"] = None
            for queue in atom.parse_queues(body).entities:
                self.queues[queue.name] = queue
        del self.failures["entity"]  # it has become one of the others

    # What is taken of a listing

    def _takes(self, name: str, repeated: bool) -> bool:
        if repeated:
            self._drop("duplicate")
            return False
        if not self._wanted(name):
            self._drop("filtered")
            return False
        return self._has_room()

    def _has_room(self) -> bool:
        if len(self.queues) + len(self.topics) + len(self.subscriptions) < self.source.max_entities:
            return True
        self._drop("limit")
        return False

    def _drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def _listing(path: str, skip: int) -> str:
    return f"{path}?$skip={skip}&$top={PAGE_SIZE}&api-version={API_VERSION}"


def _behind(skip: int, following: int) -> int:
    if following <= skip:  # it would be read for ever
        raise ServiceBusError(Reason.MALFORMED, "A listing's next page does not lie behind this one.")
    return following


def _name_filter(include: str, exclude: str) -> Callable[[str], bool]:
    """Return whether a name is wanted; patterns match whole names."""
    includes: Any = re2.compile(include) if include else None
    excludes: Any = re2.compile(exclude) if exclude else None
    if includes is None and excludes is None:
        return lambda name: True
    return lambda name: (
        (includes is None or bool(includes.fullmatch(name)))
        and not (excludes is not None and excludes.fullmatch(name))
    )
