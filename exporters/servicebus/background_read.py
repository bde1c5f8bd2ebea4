"""Read further subscriptions of a namespace that is too large for its budget, after its scrape was answered.

Such a scrape is answered at half of the time until its deadline. Without this module, the budget of the other half
would be lost, and it would take twice as long to read every topic.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from . import clock
from .budget import Budget
from .client import Client
from .entities import Snapshot, Subscription, Topic
from .previous import Former
from .read_options import ReadOptions
from .reader import Read


def is_cut_short(snapshot: Snapshot) -> bool:
    """Return whether the budget alone kept the read from reading everything."""
    return bool(snapshot.topics_read_at) or snapshot.lacks_budget


async def read_on(
    options: ReadOptions, client: Client, snapshot: Snapshot, *, until: float, budget: Budget
) -> Snapshot:
    """Return the snapshot with what could be read by `until`, a value of the running loop's time(); oldest first."""
    left = sorted(_left(snapshot), key=lambda topic: snapshot.topics_read_at.get(topic.name, -math.inf))
    now = clock.now()
    found = await Read(options, client, until, budget).subscriptions_of(left)
    return _with(snapshot, {name: (now, of_topic) for name, of_topic in found.items()}, options.max_entities)


def with_fresher(snapshot: Snapshot, other: Snapshot, max_entities: int) -> Snapshot:
    """Return the snapshot with the fresher subscriptions of another one that was read concurrently."""
    known = Former(other, oldest=-math.inf)
    better = {}
    for topic in _left(snapshot):
        read_at, of_topic = known.read_at(topic), known.subscriptions(topic)
        if of_topic is not None and read_at > snapshot.topics_read_at.get(topic.name, -math.inf):
            better[topic.name] = (read_at, of_topic)
    return _with(snapshot, better, max_entities)


def _left(snapshot: Snapshot) -> list[Topic]:
    """Return the topics whose subscriptions this read itself did not read in full."""
    names = snapshot.topics_unread | snapshot.topics_read_at.keys()
    return [topic for topic in snapshot.topics if topic.name in names]


def _with(
    snapshot: Snapshot, found: Mapping[str, tuple[float, Sequence[Subscription]]], max_entities: int
) -> Snapshot:
    subscriptions = [each for each in snapshot.subscriptions if each.topic_name not in found]
    for _, of_topic in found.values():
        subscriptions += of_topic
    # In the order of a read, so that the limit drops the same ones.
    places = {topic.name: place for place, topic in enumerate(snapshot.topics)}
    subscriptions.sort(key=lambda each: places.get(each.topic_name, 0))
    room = max(0, max_entities - len(snapshot.queues) - len(snapshot.topics))
    above = max(0, len(subscriptions) - room)
    dropped = {**snapshot.dropped, "limit": snapshot.dropped.get("limit", 0) + above}
    return replace(
        snapshot,
        subscriptions=tuple(subscriptions[:room]),
        dropped=dropped if above else snapshot.dropped,
        topics_read_at={**snapshot.topics_read_at, **{name: at for name, (at, _) in found.items()}},
        topics_unread=snapshot.topics_unread - found.keys(),
    )
