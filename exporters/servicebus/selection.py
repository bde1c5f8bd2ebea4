"""Which entities of a read are wanted, and which of these fit within the limit.

If there are too many, the kinds share the limit fairly. The first entities of each listing are kept, so that every
scrape shows the same ones.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import re2

from .entities import Queue, Subscription, Topic
from .listing import Listing, Tally, enough

E = TypeVar("E", Queue, Topic)


class Selection:
    """The listings of one read, and the entities taken from them."""

    def __init__(self, include: str, exclude: str, max_entities: int) -> None:
        """`include` and `exclude`: RE2 that the whole name of a queue or topic must, or must not, match; empty: any."""
        self._wanted = _name_filter(include, exclude)
        self._max_entities = max_entities
        self.queues: Listing[Queue] = Listing(max_entities)
        self.topics: Listing[Topic] = Listing(max_entities)
        self.subscriptions: dict[str, Listing[Subscription]] = {}  # by topic
        self._gone: set[str] = set()
        self._shown_topics: dict[str, Topic] | None = None
        self._stand_ins: dict[str, Sequence[Subscription]] = {}
        self._held = 0  # subscriptions
        self._enough = enough(max_entities)
        self._most_held = self._enough + max_entities // 2

    def wanted(self, page: list[E]) -> list[E]:
        """Return the entities of a page that pass include and exclude; the page itself if there are no patterns."""
        if self._wanted is None:
            return page
        return [each for each in page if self._wanted(each.name)]

    def is_early(self, place: int) -> bool:
        """Return whether topics before this place in the listing are shown however many other entities there are."""
        return place <= self._max_entities // 3

    def add_topic(self, topic_name: str) -> Listing[Subscription]:
        """Return a new listing for the topic's subscriptions."""
        listing = self.subscriptions[topic_name] = Listing(self._max_entities)
        return listing

    def add_subscriptions(
        self, topic_name: str, skip: int, page: list[Subscription], next_skip: int | None
    ) -> int | None:
        """Add a page, as Listing.add() does. Far above the limit, discard the last topics' subscriptions."""
        listing = self.subscriptions[topic_name]
        self._held -= listing.held
        following = listing.add(skip, page, page, next_skip)
        self._held += listing.held
        if self._held > self._most_held:
            for name in reversed(self.topics.entities()):
                last = self.subscriptions.get(name)
                if last is None:
                    continue
                if self._held - last.held < self._enough:
                    break
                self._held -= last.held
                last.forget()
            self._most_held = self._held + self._max_entities // 2
        return following

    def remove_topic(self, topic_name: str) -> None:
        """Record that the topic was deleted after it was listed."""
        self._gone.add(topic_name)

    def stand_in(self, topic_name: str, known: Sequence[Subscription]) -> None:
        """Use known subscriptions of a topic for those that were not read."""
        self._stand_ins[topic_name] = known

    def shown_topics(self) -> dict[str, Topic]:
        """Return the topics to show, by name. The first call decides, so queues and topics must be listed by then."""
        if self._shown_topics is None:
            topics = self.topics.entities()
            expected = sum(_expected_subscriptions(topic) for topic in topics.values())
            wishes = (self.queues.tally().wanted, self.topics.tally().wanted, expected)
            self._shown_topics = dict(islice(topics.items(), _fair_shares(self._max_entities, wishes)[1]))
        return {name: topic for name, topic in self._shown_topics.items() if name not in self._gone}

    def taken(self) -> "Taken":
        """Return the entities to show, within the limit."""
        topics = self.shown_topics()
        queues = list(self.queues.entities().values())
        subscriptions: list[Subscription] = []
        known_subscriptions = repeated_subscriptions = 0
        for name in topics:
            found, known, repeated = self._subscriptions_of_shown(name)
            subscriptions += found
            known_subscriptions += known
            repeated_subscriptions += repeated
        of_queues, all_topics = self.queues.tally(), self.topics.tally()
        most_queues, most_subscriptions = _fair_shares(
            self._max_entities - len(topics), (of_queues.wanted, known_subscriptions)
        )
        queues, subscriptions = queues[:most_queues], subscriptions[:most_subscriptions]
        wanted = of_queues.wanted + all_topics.wanted - len(self._gone) + known_subscriptions
        dropped = {
            "filtered": of_queues.listed - of_queues.wanted + all_topics.listed - all_topics.wanted,
            "duplicate": of_queues.repeated + all_topics.repeated + repeated_subscriptions,
            "limit": wanted - len(queues) - len(topics) - len(subscriptions),
        }
        return Taken(
            tuple(queues),
            tuple(topics.values()),
            tuple(subscriptions),
            {reason: number for reason, number in dropped.items() if number},
        )

    def _subscriptions_of_shown(self, topic_name: str) -> tuple[Iterable[Subscription], int, int]:
        """Return a shown topic's held subscriptions, how many are known, and how many came too often."""
        listing = self.subscriptions.get(topic_name)
        found = {} if listing is None else listing.entities()
        tally = Tally(0, 0, 0) if listing is None else listing.tally()
        known = self._stand_ins.get(topic_name)
        if known is not None:
            # If the topic has several pages, some of them may have been read.
            found = {each.name: each for each in known} | found
            return found.values(), len(found), tally.repeated
        return found.values(), tally.wanted, tally.repeated


class Taken(NamedTuple):
    """The entities that a read shows, and how many it drops, by reason (duplicate, filtered, limit)."""

    queues: tuple[Queue, ...]
    topics: tuple[Topic, ...]
    subscriptions: tuple[Subscription, ...]
    dropped: Mapping[str, int]


def _expected_subscriptions(topic: Topic) -> int:
    count = topic.subscription_count
    return 1 if count is None or count < 0 else count


def _fair_shares(room: int, wishes: Sequence[int]) -> list[int]:
    """Divide the room by max-min fairness: no share exceeds its wish, and the others share what one doesn't need."""
    shares = [0] * len(wishes)
    left = max(room, 0)
    by_size = sorted(range(len(wishes)), key=wishes.__getitem__)
    for position, index in enumerate(by_size):
        shares[index] = min(wishes[index], -(-left // (len(wishes) - position)))
        left -= shares[index]
    return shares


def _name_filter(include: str, exclude: str) -> Callable[[str], bool] | None:
    includes: Any = re2.compile(include) if include else None
    excludes: Any = re2.compile(exclude) if exclude else None
    if includes is None and excludes is None:
        return None
    return lambda name: (
        (includes is None or bool(includes.fullmatch(name)))
        and not (excludes is not None and excludes.fullmatch(name))
    )
