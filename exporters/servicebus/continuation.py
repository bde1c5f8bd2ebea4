"""What a scrape had no time for: further subscriptions of a namespace that is too large for its budget.

A scrape of it is answered at half of its deadline. The budget of the other half would be lost, and the time until each
topic has had its turn be twice as long.
"""

import time
from dataclasses import replace

from .budget import Budget
from .client import Client
from .entities import Snapshot
from .reader import Read, Source


def is_cut_short(snapshot: Snapshot) -> bool:
    """Tell whether there is something left to read that the budget alone has kept back."""
    return bool(snapshot.topics_read_at) or snapshot.lacks_budget


async def read_on(
    source: Source, client: Client, snapshot: Snapshot, *, until: float, budget: Budget
) -> Snapshot:
    """Return the snapshot with what could be read until then, a value of the running loop's time(); oldest first."""
    left = [
        topic
        for topic in snapshot.topics
        if topic.name in snapshot.topics_unread or topic.name in snapshot.topics_read_at
    ]
    left.sort(key=lambda topic: snapshot.topics_read_at.get(topic.name, 0.0))
    found = await Read(source, client, until, budget).subscriptions_of(left)
    subscriptions = [each for each in snapshot.subscriptions if each.topic_name not in found]
    for of_topic in found.values():
        subscriptions += of_topic
    return replace(
        snapshot,
        subscriptions=tuple(subscriptions),
        topics_read_at={**snapshot.topics_read_at, **dict.fromkeys(found, time.time())},
        topics_unread=snapshot.topics_unread - found.keys(),
    )
