"""Whose subscriptions a read gets to, where a namespace has more topics than its budget allows to read at once.

Topics then wait until all of them are known, and the longest unread comes first. What an earlier read knows stands in
for those whose turn did not come.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from .budget import Budget
from .carryover import Former
from .entities import Failure, Snapshot, Subscription, Topic

# Returns what the last read learnt; None when that is nothing.
LastRead = Callable[[], Awaitable[Snapshot | None]]


class Turns:
    """The topics of one read: those that wait, those whose pages are under way, and those that were kept back."""

    def __init__(self, last_read: LastRead | None, oldest: float) -> None:
        """`oldest`: by the machine's clock; what was read before does not stand in for anything any more."""
        self._last_read = last_read
        self._oldest = oldest
        self._former: Former | None = None
        # None: the budget will do, so that each topic is read as soon as it is known.
        self._waiting: list[Topic] | None = None
        self._pages_left: Counter[str] = Counter()  # by topic
        self._kept_back: dict[str, Failure] = {}  # topic -> why it could not be read
        # The budget's no to one topic: it goes for all that follow.
        self.refusal: Failure | None = None
        # Topics that an earlier read stands in for: name -> when, by the machine's clock.
        self.read_at: dict[str, float] = {}

    async def begin(self, known_pages: Mapping[str, int], budget: Budget, until: float) -> None:
        """Let topics wait if the budget will not allow to read by `until` (the loop's time) as much as the last time.

        `known_pages`: how many pages each listing had then.
        """
        if not known_pages.get("subscriptions"):
            return
        namespace_info = 1
        if await budget.affordable(until) < namespace_info + sum(known_pages.values()):
            self._waiting = []

    def hold(self, topic: Topic) -> bool:
        """Keep the topic for in_order() if it has to wait; tell whether it does."""
        if self._waiting is None:
            return False
        self._waiting.append(topic)
        return True

    @property
    def is_holding(self) -> bool:
        return bool(self._waiting)

    async def in_order(self) -> list[Topic]:
        """End the wait: return the topics, the longest unread first."""
        waiting, self._waiting = self._waiting or [], None
        former = await self._load_former()
        return sorted(waiting, key=former.read_at)

    def page_asked_for(self, topic_name: str) -> None:
        self._pages_left[topic_name] += 1

    def page_read(self, topic_name: str) -> None:
        self._pages_left[topic_name] -= 1

    def keep_back(self, topic_name: str, failure: Failure) -> None:
        """Take note that the budget, or the service's throttling, did not allow to read all of a topic."""
        self._kept_back[topic_name] = failure

    async def stand_ins(
        self, topics: Mapping[str, Topic]
    ) -> list[tuple[Failure, Sequence[Subscription] | None]]:
        """Return for each topic that was kept back why, and its subscriptions as far as an earlier read knows them.

        They are None where nothing is known that could still be true.
        """
        kept_back = [(topics[name], failure) for name, failure in self._kept_back.items() if name in topics]
        if not kept_back:
            return []
        former = await self._load_former()
        found = []
        for topic, failure in kept_back:
            known = former.subscriptions(topic)
            if known is not None:
                self.read_at[topic.name] = former.read_at(topic)
            found.append((failure, known))
        return found

    def unread(self, topic_names: Iterable[str]) -> frozenset[str]:
        """Return the topics of whose subscriptions something is not known, for whatever reason."""
        waiting = {topic.name for topic in self._waiting or ()}
        unread = {name for name in topic_names if self._pages_left[name] or name in waiting}
        return frozenset(unread - self.read_at.keys())

    async def _load_former(self) -> Former:
        if self._former is None:
            snapshot = await self._last_read() if self._last_read is not None else None
            self._former = Former(snapshot, self._oldest)
        return self._former
