"""What a read takes of the entities that it is shown: those that are wanted, each once, up to a limit."""

from collections.abc import Callable
from typing import Any

import re2

from .entities import Queue, Subscription, Topic


class Selection:
    """The entities taken so far, and how many were dropped, by reason (duplicate, filtered, limit)."""

    def __init__(self, include: str, exclude: str, max_entities: int) -> None:
        """`include` and `exclude`: RE2 that the whole name of a queue or topic must, or must not, match; empty: any."""
        self._wanted = _name_filter(include, exclude)
        self._max_entities = max_entities
        self.queues: dict[str, Queue] = {}
        self.topics: dict[str, Topic] = {}
        self.subscriptions: dict[tuple[str, str], Subscription] = {}
        self.dropped: dict[str, int] = {}

    def add_queue(self, queue: Queue) -> None:
        if self._takes(queue.name, queue.name in self.queues):
            self.queues[queue.name] = queue

    def add_topic(self, topic: Topic) -> bool:
        """Tell whether the topic was taken."""
        if not self._takes(topic.name, topic.name in self.topics):
            return False
        self.topics[topic.name] = topic
        return True

    def add_subscription(self, subscription: Subscription) -> None:
        key = (subscription.topic_name, subscription.name)
        if key in self.subscriptions:
            self._drop("duplicate")
        elif self._has_room():
            self.subscriptions[key] = subscription

    def _takes(self, name: str, repeated: bool) -> bool:
        if repeated:
            self._drop("duplicate")
            return False
        if not self._wanted(name):
            self._drop("filtered")
            return False
        return self._has_room()

    def _has_room(self) -> bool:
        if len(self.queues) + len(self.topics) + len(self.subscriptions) < self._max_entities:
            return True
        self._drop("limit")
        return False

    def _drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def _name_filter(include: str, exclude: str) -> Callable[[str], bool]:
    includes: Any = re2.compile(include) if include else None
    excludes: Any = re2.compile(exclude) if exclude else None
    if includes is None and excludes is None:
        return lambda name: True
    return lambda name: (
        (includes is None or bool(includes.fullmatch(name)))
        and not (excludes is not None and excludes.fullmatch(name))
    )
