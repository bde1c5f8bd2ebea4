"""Complete reads of a namespace that changes randomly during the read, compared with what they must and may show."""

import asyncio
from collections import defaultdict
from random import Random

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporters.prometheus import text
from exporters.prometheus.collector import SnapshotCollector
from exporters.servicebus.entities import Snapshot
from exporters.servicebus.errors import Reason
from simulator import SimulatedNamespace, Simulator

from .conftest import ReadBus, reasons

# Kind, topic name (for a subscription), name.
Entity = tuple[str, str, str]
COLLECTORS = {"queue": "queues", "topic": "topics", "subscription": "subscriptions"}


class Changing:
    """A namespace, and everything that was true of it since a read began. Each active count that it sets is unique."""

    def __init__(self, bus: SimulatedNamespace, random: Random) -> None:
        self.bus, self.random = bus, random
        self.number = 0
        self.lasting: set[Entity] = set()  # the entities that existed all the time
        self.counts: defaultdict[Entity, set[int]] = defaultdict(set)  # all active counts of each

    def begin(self) -> None:
        self.counts.clear()
        self.counts.update((entity, {count}) for entity, count in self.now().items())
        self.lasting = set(self.counts)

    def now(self) -> dict[Entity, int]:
        return {
            **{("queue", "", queue.name): queue.active for queue in self.bus.queues.values()},
            **{("topic", "", topic.name): topic.active for topic in self.bus.topics.values()},
            **{
                ("subscription", each.topic_name, each.name): each.active for each in self.bus.subscriptions()
            },
        }

    def add(self, entity: Entity) -> None:
        kind, topic, name = entity
        count = self._count(entity)
        if kind == "queue":
            self.bus.add_queue(name, active=count)
        elif kind == "topic":
            self.bus.add_topic(name, active=count)
        else:
            self.bus.topics[topic].add_subscription(name, active=count)

    def change(self) -> None:
        """Add, delete, recreate or change an entity, or several adjacent ones at once."""
        at_all = self.now()
        of_kind = self.random.choice(sorted({each[0] for each in at_all}) or ["queue"])
        entity = self.random.choice(
            [each for each in at_all if each[0] == of_kind] or [("queue", "", "first")]
        )
        kind, topic, name = entity
        chosen = self.random.random()
        if chosen < 0.3 or not at_all:
            # Before, after or between the existing ones.
            self.add((kind, topic, f"{self.random.choice(['', name])}-{self.number:06}"))
        elif chosen < 0.6:
            behind = [each for each in sorted(at_all) if each[:2] == entity[:2] and each >= entity]
            deleted = behind[: self.random.choice([1, 1, 1, 2, 20])]
            for each in deleted:
                self._delete(each)
            for each in deleted if self.random.random() < 0.3 else ():
                self.add(each)
        elif kind == "subscription":
            self.bus.topics[topic].subscriptions[name].active = self._count(entity)
        else:
            those = self.bus.queues if kind == "queue" else self.bus.topics
            those[name].active = self._count(entity)

    def _delete(self, entity: Entity) -> None:
        kind, topic, name = entity
        if kind == "queue":
            self.bus.delete_queue(name)
        elif kind == "topic":
            self.bus.delete_topic(name)
            self.lasting = {each for each in self.lasting if each[1] != name}
        else:
            self.bus.topics[topic].delete_subscription(name)
        self.lasting.discard(entity)

    def _count(self, entity: Entity) -> int:
        self.number += 1
        self.counts[entity].add(self.number)
        return self.number


def shown(snapshot: Snapshot) -> dict[Entity, float]:
    """Return the active counts of an exposition; assert that no series occurs twice."""
    body = text.render(SnapshotCollector(snapshot).collect(), text.negotiate("")).decode()
    found: dict[Entity, float] = {}
    for family in text_string_to_metric_families(body):
        kind = family.name.removeprefix("servicebus_").removesuffix("_active_messages")
        for sample in family.samples if kind in COLLECTORS else ():
            entity = kind, sample.labels.get("topic_name", ""), sample.labels["name"]
            assert entity not in found
            found[entity] = sample.value
    return found


@pytest.mark.parametrize("seed", range(8))
async def test_an_exposition_has_what_lasted_and_nothing_that_never_was(
    simulator: Simulator, read_bus: ReadBus, seed: int
) -> None:
    random = Random(seed)
    bus = simulator.add_namespace("changing", latency=0.003)
    changing = Changing(bus, random)
    for number in range(random.choice([0, 60, 100, 101, 199, 420])):
        changing.add(("queue", "", f"queue-{number:03}"))
    for number in range(random.choice([0, 2, 25, 110])):
        changing.add(("topic", "", f"topic-{number:03}"))
        for member in range(random.choice([0, 1, 2, 2, 250])):
            changing.add(("subscription", f"topic-{number:03}", f"subscription-{member:03}"))
    pause = random.choice([0.0005, 0.002, 0.01])
    known_pages: dict[str, int] = {}

    async def change() -> None:
        while True:
            changing.change()
            await asyncio.sleep(pause)

    for _ in range(3):
        changing.begin()
        changes = asyncio.create_task(change())
        snapshot = await read_bus(bus, known_pages=known_pages, concurrency=4)
        assert not changes.done()
        changes.cancel()
        assert reasons(snapshot) <= {Reason.CHANGED}
        found = shown(snapshot)
        for entity, count in found.items():
            assert count in changing.counts[entity]
        whole = {kind for kind, collector in COLLECTORS.items() if snapshot.collectors[collector] is None}
        assert {entity for entity in changing.lasting if entity[0] in whole} <= found.keys()

    # After the changes have ended, nothing from earlier reads is left.
    snapshot = await read_bus(bus, known_pages=known_pages)
    assert not reasons(snapshot)
    assert shown(snapshot) == changing.now()
