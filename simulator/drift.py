"""Changes of a namespace's counts over time, the same in every run with the same seed."""

import asyncio
import datetime as dt
import random
from weakref import WeakKeyDictionary

from .entities import SimulatedEntity, SimulatedSubscription
from .namespace import SimulatedNamespace

_MESSAGE_BYTES = 1500
# The share of entities with a consumer that fails now and then. In a real namespace, most entities dead-letter nothing.
_FAILING_SHARE = 0.02


class Drift:
    """Changes a `share` of the entities every `every` seconds. The steps are deterministic, their times are not."""

    def __init__(
        self, namespace: SimulatedNamespace, *, every: float = 1.0, share: float = 0.2, seed: int = 1
    ) -> None:
        if every <= 0 or not 0 < share <= 1:
            raise ValueError("a drift needs `every` above 0 seconds and a `share` above 0, up to 1")
        self._namespace = namespace
        self._every = every
        self._share = share
        self._random = random.Random(seed)  # noqa: S311 - a demo's numbers, no secret
        self._fails: WeakKeyDictionary[SimulatedEntity, bool] = WeakKeyDictionary()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            self.step()

    def step(self) -> None:
        """Change the counts once."""
        namespace = self._namespace
        for entities in (namespace.queues.values(), namespace.topics.values(), namespace.subscriptions()):
            for entity in entities:
                if self._random.random() < self._share:
                    self._move(entity)

    def _move(self, entity: SimulatedEntity) -> None:
        pick = self._random
        active = entity.active + pick.randint(-20, 20)
        if active > 2000 or pick.random() < 0.01:
            active = 0  # a consumer caught up
        if entity not in self._fails:
            self._fails[entity] = pick.random() < _FAILING_SHARE
        dead_letter = entity.dead_letter + (self._fails[entity] and pick.random() < 0.05)
        if pick.random() < 0.005:
            dead_letter = 0  # an operator handled them
        values = {
            "active": max(active, 0),
            "dead_letter": dead_letter,
            "scheduled": max(entity.scheduled + pick.randint(-2, 2), 0),
            "accessed": dt.datetime.now(dt.UTC),
        }
        if not isinstance(entity, SimulatedSubscription):  # subscriptions have no size of their own
            values["size_bytes"] = (max(active, 0) + dead_letter) * _MESSAGE_BYTES
        entity.update(**values)


def fill(
    namespace: SimulatedNamespace,
    *,
    queues: int = 0,
    topics: int = 0,
    subscriptions: int = 0,
    seed: int = 1,
) -> None:
    """Add queues, topics, and `subscriptions` subscriptions to each topic, with plausible counts.

    Names are `queue-001` and so on.
    """
    pick = random.Random(seed)  # noqa: S311

    def counts() -> dict[str, int]:
        return {
            "active": pick.randint(0, 500),
            "dead_letter": pick.choice([0, 0, 0, pick.randint(1, 50)]),
            "scheduled": pick.choice([0, 0, pick.randint(1, 20)]),
        }

    for number in range(1, queues + 1):
        values = counts()
        namespace.add_queue(
            _numbered("queue", number, queues), size_bytes=sum(values.values()) * _MESSAGE_BYTES, **values
        )
    for number in range(1, topics + 1):
        topic = namespace.add_topic(_numbered("topic", number, topics), size_bytes=pick.randint(0, 10**6))
        for member in range(1, subscriptions + 1):
            topic.add_subscription(_numbered("subscription", member, subscriptions), **counts())


def _numbered(kind: str, number: int, last: int) -> str:
    return f"{kind}-{number:0{len(str(last))}}"
