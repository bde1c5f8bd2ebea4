"""Namespaces with more entities than max_entities: which ones are shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.servicebus.entities import Queue, Subscription, Topic
from exporters.servicebus.listing import enough
from exporters.servicebus.selection import Selection
from simulator import SimulatedNamespace, Simulator

from .conftest import ReadBus, reasons


@pytest.fixture
def large(simulator: Simulator) -> SimulatedNamespace:
    bus = simulator.add_namespace("large", latency=0.002)
    for each in range(250):
        bus.add_queue(f"queue-{each:03}")
    return bus


async def test_the_same_entities_are_shown_by_every_read(
    large: SimulatedNamespace, read_bus: ReadBus
) -> None:
    known: dict[str, int] = {}
    for number in range(12):
        # A different page arrives last each time.
        large.faults.clear()
        large.faults.set("delay", path="/$resources/queues", after=number % 3, times=1, seconds=0.05)
        snapshot = await read_bus(large, max_entities=100, known_pages=known)
        assert [queue.name for queue in snapshot.queues] == [f"queue-{each:03}" for each in range(100)]
        assert snapshot.dropped == {"limit": 150}
        assert reasons(snapshot) == set()


async def test_kinds_share_the_limit_fairly(large: SimulatedNamespace, read_bus: ReadBus) -> None:
    for each in range(150):
        large.add_topic(f"topic-{each:03}").add_subscription("all")
    shown = []
    for _ in range(3):
        snapshot = await read_bus(large, max_entities=99)
        assert reasons(snapshot) == set()
        shown.append((snapshot.queues, snapshot.topics, snapshot.subscriptions))
    assert [[len(kind) for kind in kinds] for kinds in shown] == [[33, 33, 33]] * 3
    names = {tuple(each.name for kind in kinds for each in kind) for kinds in shown}
    assert len(names) == 1
    assert {each.topic_name for each in snapshot.subscriptions} == {topic.name for topic in snapshot.topics}
    # Entities that aren't shown aren't requested.
    assert snapshot.requests == 1 + 3 + 2 + 33


async def test_a_small_kind_is_shown_whole_beside_a_large_one(
    simulator: Simulator, read_bus: ReadBus
) -> None:
    bus = simulator.add_namespace("crowded")
    for each in range(20_000):
        bus.add_queue(f"queue-{each:05}")
    bus.add_topic("events").add_subscription("all")
    known: dict[str, int] = {}
    for _ in range(2):
        snapshot = await read_bus(bus, known_pages=known, seconds=60)
        assert reasons(snapshot) == set()
        assert len(snapshot.queues) == 19_998
        assert snapshot.queues[-1].name == "queue-19997"
        assert [topic.name for topic in snapshot.topics] == ["events"]
        assert [each.name for each in snapshot.subscriptions] == ["all"]
        assert snapshot.dropped == {"limit": 2}


async def test_filtered_entities_take_no_room(large: SimulatedNamespace, read_bus: ReadBus) -> None:
    snapshot = await read_bus(large, max_entities=20, include="queue-..[05]", exclude="queue-00.")
    assert [queue.name for queue in snapshot.queues] == [f"queue-{each:03}" for each in range(10, 110, 5)]
    assert snapshot.dropped == {"filtered": 202, "limit": 28}


async def test_topics_that_wait_for_their_share_are_read_although_a_page_of_queues_is_late(
    large: SimulatedNamespace, read_bus: ReadBus
) -> None:
    for each in range(40):
        large.add_topic(f"topic-{each:02}").add_subscription("all")
    large.faults.set("delay", path="/$resources/queues", after=2, times=1, seconds=0.3)
    snapshot = await read_bus(large, max_entities=100)
    assert [len(kind) for kind in (snapshot.queues, snapshot.topics, snapshot.subscriptions)] == [33, 34, 33]
    assert reasons(snapshot) == set()


async def test_a_limit_of_one_shows_one(large: SimulatedNamespace, read_bus: ReadBus) -> None:
    large.add_topic("events").add_subscription("all")
    snapshot = await read_bus(large, max_entities=1)
    assert len(snapshot.queues) + len(snapshot.topics) + len(snapshot.subscriptions) == 1


@settings(deadline=None)
@given(
    queues=st.integers(0, 60),
    topics=st.lists(st.integers(0, 12), max_size=40),
    room=st.integers(1, 150),
    hint=st.none() | st.integers(-3, 20),
)
def test_the_first_of_each_kind_are_shown_and_no_room_is_wasted(
    queues: int, topics: list[int], room: int, hint: int | None
) -> None:
    selection = Selection("", "", room)
    of_queues = [Queue(f"queue-{each:03}", "active") for each in range(queues)]
    of_topics = [
        Topic(f"topic-{each:03}", "active", subscription_count=number if hint is None else hint)
        for each, number in enumerate(topics)
    ]
    selection.queues.add(0, of_queues, of_queues, None)
    selection.topics.add(0, of_topics, of_topics, None)
    expected: list[tuple[str, str]] = []
    for topic, number in zip(of_topics, topics, strict=True):
        if topic.name in selection.shown_topics():
            selection.add_topic(topic.name)
            found = [Subscription(topic.name, f"{each:03}", "active") for each in range(number)]
            selection.add_subscriptions(topic.name, 0, found, None)
            expected += [(topic.name, each.name) for each in found]
    taken = selection.taken()
    shown = len(taken.queues) + len(taken.topics) + len(taken.subscriptions)
    assert shown <= room
    assert list(taken.queues) == of_queues[: len(taken.queues)]
    assert list(taken.topics) == of_topics[: len(taken.topics)]
    assert [(each.topic_name, each.name) for each in taken.subscriptions] == expected[
        : len(taken.subscriptions)
    ]
    assert taken.dropped.get("limit", 0) == queues + len(topics) + len(expected) - shown
    # Fair: a kind that isn't shown completely gets at least a third.
    for wished, got in ((queues, len(taken.queues)), (len(topics), len(taken.topics))):
        assert got >= min(wished, room // 3)
    if hint is None and queues + len(topics) + sum(topics) <= room:
        assert taken.dropped == {}


def test_far_above_the_limit_few_subscriptions_are_held() -> None:
    selection = Selection("", "", 300)
    topics = [Topic(f"topic-{each:03}", "active", subscription_count=50) for each in range(100)]
    selection.topics.add(0, topics, topics, None)
    for topic in reversed(topics):  # the last ones arrive first
        selection.add_topic(topic.name)
        found = [Subscription(topic.name, f"{each:03}", "active") for each in range(50)]
        selection.add_subscriptions(topic.name, 0, found, None)
        assert (
            sum(listing.held for listing in selection.subscriptions.values()) <= enough(300) + 300 // 2 + 50
        )
    taken = selection.taken()
    assert (len(taken.topics), len(taken.subscriptions)) == (100, 200)
    assert {each.topic_name for each in taken.subscriptions} == {f"topic-{each:03}" for each in range(4)}


async def test_a_deleted_topic_does_not_count(large: SimulatedNamespace, read_bus: ReadBus) -> None:
    large.add_topic("events").add_subscription("all")
    large.faults.set("delete_topic", topic="events")
    snapshot = await read_bus(large, max_entities=1_000)
    assert snapshot.dropped == {}
    assert reasons(snapshot) == set()
