"""Whose subscriptions a read gets to, where a namespace has more topics than its budget allows to read at once.

Topics then wait until all of them are known, and the longest unread comes first. What an earlier read knows stands in
for those whose turn did not come.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from .budget import Budget
from .entities import Failure, Snapshot, Subscription, Topic
from .previous import Former

# Returns what the last read learnt; None when that is nothing.
LastRead = Callable[[], Awaitable[Snapshot | None]]


class Turns:
    """The order in which one read asks for topics' subscriptions, and the topics that it could not ask for."""

    def __init__(self, last_read: LastRead | None, oldest: float) -> None:
        """`oldest`: by the machine's clock; what was read before does not stand in for anything any more."""
        self._last_read = last_read
        self._oldest = oldest
        self._former: Former | None = None
        # Whether the budget allows less than the last read took. Otherwise each topic is read as soon as it is known.
        self.is_short = False
        self._kept_back: dict[str, Failure] = {}  # topic -> why it could not be read
        # The budget's no to one topic: it goes for all that follow.
        self.refusal: Failure | None = None
        # Topics shown from an earlier read: name -> time of that read, by the machine's clock.
        self.read_at: dict[str, float] = {}

    async def begin(self, known_pages: Mapping[str, int], budget: Budget, until: float) -> None:
        """Let topics wait if the budget will not allow to read by `until` (the loop's time) as much as the last time.

        `known_pages`: how many pages each listing had then.
        """
        if not known_pages.get("subscriptions"):
            return
        namespace_info = 1
        self.is_short = await budget.affordable(until) < namespace_info + sum(known_pages.values())

    async def in_order(self, topics: Iterable[Topic]) -> list[Topic]:
        """Return the topics in the order in which to read them: the longest unread first if the budget is short."""
        if not self.is_short:
            return list(topics)
        former = await self._load_former()
        return sorted(topics, key=former.read_at)

    def keep_back(self, topic_name: str, failure: Failure) -> None:
        """Take note that the budget, or the service's throttling, did not allow to read all of a topic."""
        self._kept_back[topic_name] = failure

    async def stand_ins(
        self, topics: Mapping[str, Topic]
    ) -> list[tuple[str, Failure, Sequence[Subscription] | None]]:
        """Return each topic that was kept back, why, and its subscriptions as far as an earlier read knows them.

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
            found.append((topic.name, failure, known))
        return found

    async def _load_former(self) -> Former:
        if self._former is None:
            snapshot = await self._last_read() if self._last_read is not None else None
            self._former = Former(snapshot, self._oldest)
        return self._former
