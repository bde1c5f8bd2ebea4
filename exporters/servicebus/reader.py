"""Read a whole namespace, with concurrent requests, within a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from . import atom, clock
from .budget import Budget, unshared
from .client import Client, ThrottledError
from .entities import Failure, NamespaceInfo, Queue, Snapshot, Subscription, Topic
from .errors import TOO_FEW_REQUESTS, Reason, ServiceBusError
from .jobs import Job, Work
from .listing import PAGE_SIZE, STEP, Listing
from .parallelism import Parallelism
from .read_options import ReadOptions
from .request_rate import Allowance
from .requests import Requests
from .schedule import Turns
from .selection import E, Selection

API_VERSION = "2021-05"

# More than twelve times the default of max_entities. A larger max_entities replaces it.
MAX_ENTITIES_READ = 250_000
# The characters of entities' names and of texts that users entered, which stay in memory at up to four bytes each.
# 20,000 entities with names of 260 characters and UserMetadata of 500 have 15,200,000.
MAX_READ_CHARACTERS = 16_000_000
_FREELY = Allowance(requests_per_second=10_000, burst=10_000)


async def read_namespace(
    options: ReadOptions, client: Client, *, deadline: float, budget: Budget | None = None
) -> Snapshot:
    """Read the namespace and return what was read by `deadline`, a value of the running loop's time().

    Never raises ServiceBusError: the snapshot's `collectors` hold the failures.
    """
    return await Read(options, client, deadline, budget or unshared(_FREELY)).run()


class Read:
    """One read. It shares no state with other reads."""

    def __init__(self, options: ReadOptions, client: Client, deadline: float, budget: Budget) -> None:
        """`deadline`: a value of the running loop's time()."""
        self._options = options
        self._deadline = deadline
        self._budget = budget
        self._info: NamespaceInfo | None = None
        parallelism = Parallelism(options.concurrency, is_warm=client.is_connected(options.endpoint))
        self._requests = Requests(client, options.endpoint, options.credential, budget, deadline, parallelism)
        # Not the loop's clock: uvloop's counts in milliseconds.
        self._read_at, self._began_at = time.time(), clock.now()
        self._selection = Selection(options.include, options.exclude, options.max_entities)
        self._turns = Turns(options.last_read, self._began_at - options.max_age_seconds)
        # A credential without access to the SKU may still have access to the rest, which is under way anyway.
        self._work = Work(
            optional="namespace",
            ended=self._jobs_ended,
            allowed=self._requests.allowed,
            leave=self._requests.leave,
        )
        self._failures = self._work.failures
        self._entities_read = 0
        self._characters_read = 0
        # Topics whose subscriptions were requested; the others wait until queues and topics are listed.
        self._begun: set[str] = set()
        self._some_wait = False
        # Until when a request for subscriptions may wait for the budget.
        self._subscriptions_until = deadline

    async def run(self) -> Snapshot:
        now = asyncio.get_running_loop().time()
        # If a namespace is too large for its budget, the read ends at half of the time until the deadline: waiting for
        # all of it would only add a few topics.
        self._subscriptions_until = now + (self._deadline - now) / 2
        if self._options.entity_path:
            # Nothing else: an entity's own key gives no access to anything else, not even to the namespace's SKU.
            self._work.add("entity", [self._read_entity])
        else:
            await self._turns.begin(self._options.known_pages, self._budget, self._subscriptions_until)
            self._work.add("namespace", [self._read_info])
            self._add_pages("queues", self._selection.queues, self._read_queues)
            self._add_pages("topics", self._selection.topics, self._read_topics)
            self._failures["subscriptions"] = None
        await self._work.run(self._deadline)
        await self._carry_over()
        self._remember_pages()
        info = self._failures.get("namespace")
        if info is not None and info.reason is Reason.NOT_FOUND and self._failures["queues"] is None:
            # Not every endpoint has $namespaceinfo. If the queues can be listed, its absence is not a failure.
            self._failures["namespace"] = None
        unlisted = self._failures.get("topics")
        if unlisted is not None:  # without all topics, there may be further subscriptions
            self._work.fail("subscriptions", unlisted)
        unread = frozenset(self._unread_topics() - self._turns.read_at.keys())
        self._fail_what_is_incomplete(unread)
        taken = self._selection.taken()
        # A failure's traceback and this read reference each other. Without this line, entities that are not taken would
        # stay in memory until the next garbage collection.
        self._selection = Selection("", "", 0)
        return Snapshot(
            queues=taken.queues,
            topics=taken.topics,
            subscriptions=taken.subscriptions,
            info=self._info,
            collectors=self._failures,
            dropped=taken.dropped,
            requests=self._requests.sent,
            throttled_requests=self._requests.throttled,
            duration_seconds=clock.now() - self._began_at,
            read_at=self._read_at,
            began_at=self._began_at,
            topics_read_at=self._turns.read_at,
            topics_unread=unread,
            budget_requests_per_second=await self._budget.close(),
        )

    async def subscriptions_of(self, topics: Sequence[Topic]) -> dict[str, list[Subscription]]:
        """Read only the subscriptions of these topics, in this order; return those that were read in full, by topic."""
        self._add_subscriptions(topics)
        await self._work.run(self._deadline)
        await self._budget.close()
        return {
            topic_name: list(listing.entities().values())
            for topic_name, listing in self._selection.subscriptions.items()
            if listing.is_complete
        }

    def _jobs_ended(self, collector: str) -> None:
        if not self._some_wait or collector not in {"queues", "topics"}:
            return
        if not self._work.is_open("queues") and not self._work.is_open("topics"):
            self._some_wait = False
            self._work.add("subscriptions", [self._add_waiting])

    # The collectors

    async def _read_info(self) -> None:
        self._info = atom.parse_namespace_info(
            await self._requests.get(f"/$namespaceinfo?api-version={API_VERSION}")
        )
        if self._info.sku:
            await self._budget.learn_sku(self._info.sku)

    def _add_pages(
        self,
        collector: str,
        listing: Listing[Queue] | Listing[Topic],
        read_page: Callable[[int], Awaitable[None]],
    ) -> None:
        """Request as many pages as the listing had in the last read, concurrently."""
        number = self._options.known_pages.get(collector, 1)
        pages = (partial(read_page, skip) for skip in listing.first_pages(number))
        self._work.add(collector, pages, number)

    async def _get(self, path: str, wait_until: float | None = None) -> bytes:
        most = max(MAX_ENTITIES_READ, self._options.max_entities)
        if self._entities_read > most:
            raise ServiceBusError(
                Reason.TOO_LARGE,
                f"The namespace has more than {most} entities, the most that the hub reads.",
            )
        return await self._requests.get(path, wait_until)

    def _count(self, page: atom.Page[Any]) -> None:
        self._entities_read += len(page.entities)
        self._characters_read += page.characters
        if self._characters_read > MAX_READ_CHARACTERS:
            raise ServiceBusError(
                Reason.TOO_LARGE,
                f"The names and texts of the namespace's entities have more than {MAX_READ_CHARACTERS} characters, "
                "the most that the hub reads.",
            )

    async def _read_queues(self, skip: int) -> None:
        page = atom.parse_queues(await self._get(_listing("/$Resources/queues", skip)))
        self._count(page)
        wanted = self._selection.wanted(page.entities)
        following = self._selection.queues.add(skip, page.entities, wanted, page.next_skip)
        if following is not None:
            self._work.add_next("queues", partial(self._read_queues, following))

    async def _read_topics(self, skip: int) -> None:
        page = atom.parse_topics(await self._get(_listing("/$Resources/topics", skip)))
        self._count(page)
        wanted = self._selection.wanted(page.entities)
        following = self._selection.topics.add(skip, page.entities, wanted, page.next_skip)
        if following is not None:
            self._work.add_next("topics", partial(self._read_topics, following))
        if self._turns.is_short or not self._selection.is_early(skip + len(page.entities)):
            self._some_wait = True
        else:
            self._add_subscriptions(wanted)

    async def _add_waiting(self) -> None:
        """Request the subscriptions of the topics that had to wait."""
        self._add_subscriptions(await self._turns.in_order(self._selection.shown_topics().values()))

    def _add_subscriptions(self, topics: Iterable[Topic]) -> None:
        """Request the subscriptions of topics, except those that were requested already."""
        new = [topic for topic in topics if topic.name not in self._begun]
        self._begun.update(topic.name for topic in new)
        self._work.add("subscriptions", self._subscription_jobs(new), len(new))

    def _subscription_jobs(self, topics: Iterable[Topic]) -> Iterator[Job]:
        for topic in topics:
            listing = self._selection.add_topic(topic.name)
            # A topic's count only decides how many pages to request concurrently; the listing is authoritative. Even 0
            # is not trusted: it can be older than the newest subscription.
            for skip in listing.first_pages(-(-((topic.subscription_count or 1) - 1) // STEP)):
                yield partial(self._read_subscriptions, topic.name, skip)

    async def _read_subscriptions(self, topic_name: str, skip: int) -> None:
        if self._turns.refusal is not None:
            self._turns.keep_back(topic_name, self._turns.refusal)
            await asyncio.sleep(0)  # thousands can follow, and other tasks have to run
            return
        path = _listing(f"/{quote(topic_name, safe='')}/subscriptions", skip)
        try:
            page = atom.parse_subscriptions(await self._get(path, self._subscriptions_until), topic_name)
        except ServiceBusError as error:
            match error.reason:
                case Reason.NOT_FOUND:
                    # Deleted since it was listed, which is not a failure.
                    self._selection.remove_topic(topic_name)
                case reason if reason in TOO_FEW_REQUESTS:
                    failure = Failure(error.reason, error.message)
                    self._turns.keep_back(topic_name, failure)
                    if not isinstance(error, ThrottledError):
                        # The budget's refusal applies to all remaining topics.
                        self._turns.refusal = failure
                case _:
                    raise
            return
        self._count(page)
        following = self._selection.add_subscriptions(topic_name, skip, page.entities, page.next_skip)
        if following is not None:
            self._work.add_next("subscriptions", partial(self._read_subscriptions, topic_name, following))

    async def _read_entity(self) -> None:
        """Read the one entity that the credential is for: a queue, or a topic with its subscriptions."""
        path = f"/{quote(self._options.entity_path, safe='')}?enrich=false&api-version={API_VERSION}"
        body = await self._requests.get(path)
        if atom.kind_of_entry(body) == "topic":
            topics = self._the_one(atom.parse_topics(body).entities)
            self._failures["topics"] = self._failures["subscriptions"] = None
            self._selection.topics.add(0, topics, topics, None)
            self._add_subscriptions(topics)
        else:
            queues = self._the_one(atom.parse_queues(body).entities)
            self._failures["queues"] = None
            self._selection.queues.add(0, queues, queues, None)
        del self._failures["entity"]  # replaced by the collectors of the entity's kind

    def _the_one(self, entities: list[E]) -> list[E]:
        """Return the entities if they are the one that was requested; entity names are case-insensitive."""
        if [entity.name.lower() for entity in entities] != [self._options.entity_path.lower()]:
            raise ServiceBusError(Reason.MALFORMED, "The response is not the requested entity.")
        return entities

    # After all is read

    async def _carry_over(self) -> None:
        """Fill in subscriptions that were not read from an earlier read; record a failure where there are none."""
        for topic_name, failure, known in await self._turns.stand_ins(self._selection.shown_topics()):
            if known is None:
                self._work.fail("subscriptions", failure)
            else:
                self._selection.stand_in(topic_name, known)

    def _unread_topics(self) -> set[str]:
        """Return the topics whose subscriptions were not read in full, for whatever reason."""
        listings = self._selection.subscriptions
        return {
            name
            for name in self._selection.shown_topics()
            if name not in listings or not listings[name].is_complete
        }

    def _fail_what_is_incomplete(self, unread: frozenset[str]) -> None:
        """Record a failure for each collector that has not read everything."""
        selection = self._selection
        for collector, is_complete in (
            ("queues", selection.queues.is_complete),
            ("topics", selection.topics.is_complete),
            ("subscriptions", not unread),
        ):
            if collector in self._failures and not is_complete:
                self._work.fail(
                    collector, Failure(Reason.TIMEOUT, "The read was not complete at the deadline.")
                )

    def _remember_pages(self) -> None:
        """Record how many pages each listing has, for the next read."""
        selection, known = self._selection, self._options.known_pages
        for collector, listing in (("queues", selection.queues), ("topics", selection.topics)):
            if listing.is_complete:
                known[collector] = listing.pages
        if selection.topics.is_complete and selection.subscriptions:
            known["subscriptions"] = sum(listing.requested for listing in selection.subscriptions.values())


def _listing(path: str, skip: int) -> str:
    return f"{path}?$skip={skip}&$top={PAGE_SIZE}&api-version={API_VERSION}"
