"""Which topics' subscriptions to read first when a namespace has more topics than its budget allows in one read.

Topics then wait until all of them are listed, and those unread for longest come first. For topics that the read doesn't
get to, the subscriptions of an earlier read are used.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from .budget import Budget
from .entities import Failure, Snapshot, Subscription, Topic
from .previous import Former

# Returns the last read's snapshot; None if there is none.
LastRead = Callable[[], Awaitable[Snapshot | None]]


class Turns:
    """The order in which one read requests topics' subscriptions, and the topics that it could not request."""

    def __init__(self, last_read: LastRead | None, oldest: float) -> None:
        """`oldest`: by the machine's clock; subscriptions that were read before this are not used."""
        self._last_read = last_read
        self._oldest = oldest
        self._former: Former | None = None
        # Whether the budget allows fewer requests than the last read took. If not, each topic is read once listed.
        self.is_short = False
        self._kept_back: dict[str, Failure] = {}  # topic -> why it could not be read
        # First budget refusal; applies to all remaining topics.
        self.refusal: Failure | None = None
        # Topics shown from an earlier read: name -> time of that read, by the machine's clock.
        self.read_at: dict[str, float] = {}

    async def begin(self, known_pages: Mapping[str, int], budget: Budget, until: float) -> None:
        """Make topics wait if the budget allows fewer requests by `until` (the loop's time) than the last read took.

        `known_pages`: how many pages each listing had in the last read.
        """
        if not known_pages.get("subscriptions"):
            return
        namespace_info = 1
        self.is_short = await budget.affordable(until) < namespace_info + sum(known_pages.values())

    async def in_order(self, topics: Iterable[Topic]) -> list[Topic]:
        """Return the topics in reading order: if the budget is short, those unread for longest come first."""
        if not self.is_short:
            return list(topics)
        former = await self._load_former()
        return sorted(topics, key=former.read_at)

    def keep_back(self, topic_name: str, failure: Failure) -> None:
        """Record that a topic could not be read in full because of the budget or the service's throttling."""
        self._kept_back[topic_name] = failure

    async def stand_ins(
        self, topics: Mapping[str, Topic]
    ) -> list[tuple[str, Failure, Sequence[Subscription] | None]]:
        """Return each topic that was kept back, the reason, and its subscriptions from an earlier read.

        The subscriptions are None if there are none that could still be valid.
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
