"""What an earlier read learnt of topics' subscriptions, for a namespace with more of them than its budget allows.

Only subscriptions are carried over: queues and topics take a request for a hundred of them, subscriptions one a topic.
"""

import math
from collections.abc import Sequence

from .entities import Snapshot, Subscription, Topic


class Former:
    """The subscriptions that an earlier read knows, by topic."""

    def __init__(self, snapshot: Snapshot | None, oldest: float) -> None:
        """`oldest`: by the machine's clock; what was read before is not used any more."""
        self._oldest = oldest
        self._topics: dict[str, Topic] = {}
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._read_at: dict[str, float] = {}
        if snapshot is None:
            return
        self._topics = {topic.name: topic for topic in snapshot.topics}
        for subscription in snapshot.subscriptions:
            self._subscriptions.setdefault(subscription.topic_name, []).append(subscription)
        # A topic that the former read could not read is in neither.
        for name in snapshot.topics_unread:
            self._topics.pop(name, None)
        self._read_at = {name: snapshot.topics_read_at.get(name, snapshot.began_at) for name in self._topics}

    def read_at(self, topic: Topic) -> float:
        """Return when its subscriptions were read, by the machine's clock.

        It is -inf when nothing is known that could still be true.
        """
        former = self._topics.get(topic.name)
        if former is None:
            return -math.inf
        # Made anew, or with other subscriptions than then: some of what is known is gone, and nobody knows which.
        if (former.created, former.subscription_count) != (topic.created, topic.subscription_count):
            return -math.inf
        return self._read_at[topic.name]

    def subscriptions(self, topic: Topic) -> Sequence[Subscription] | None:
        """Return what is known of its subscriptions; None when that is nothing, or too old."""
        read_at = self.read_at(topic)
        if read_at == -math.inf or read_at < self._oldest:
            return None
        return self._subscriptions.get(topic.name, [])
