"""Topics' subscriptions from an earlier read, for a namespace with more topics than its budget allows.

Only subscriptions are carried over: queues and topics take one request per hundred, subscriptions one per topic.
"""

import math
from collections.abc import Sequence

from .entities import Snapshot, Subscription, Topic


class Former:
    """The subscriptions of an earlier read, by topic."""

    def __init__(self, snapshot: Snapshot | None, oldest: float) -> None:
        """`oldest`: by the machine's clock; subscriptions that were read before this are not used."""
        self._oldest = oldest
        self._topics: dict[str, Topic] = {}
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._read_at: dict[str, float] = {}
        if snapshot is None:
            return
        self._topics = {topic.name: topic for topic in snapshot.topics}
        for subscription in snapshot.subscriptions:
            self._subscriptions.setdefault(subscription.topic_name, []).append(subscription)
        # A topic whose subscriptions the earlier read does not have is not known.
        for name in snapshot.topics_unread:
            self._topics.pop(name, None)
        self._read_at = {name: snapshot.topics_read_at.get(name, snapshot.began_at) for name in self._topics}

    def read_at(self, topic: Topic) -> float:
        """Return when the topic's subscriptions were read, by the machine's clock.

        Returns -inf if there are none that could still be valid.
        """
        former = self._topics.get(topic.name)
        if former is None:
            return -math.inf
        # Created again, or with a different number of subscriptions: some of the known ones may be gone.
        if (former.created, former.subscription_count) != (topic.created, topic.subscription_count):
            return -math.inf
        return self._read_at[topic.name]

    def subscriptions(self, topic: Topic) -> Sequence[Subscription] | None:
        """Return the topic's known subscriptions; None if they are unknown or too old."""
        read_at = self.read_at(topic)
        if read_at == -math.inf or read_at < self._oldest:
            return None
        return self._subscriptions.get(topic.name, [])
