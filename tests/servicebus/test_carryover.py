"""Namespaces with more topics than their budget allows to read at once."""

import asyncio
from dataclasses import dataclass, field

import pytest

from exporters.servicebus.background_read import with_fresher
from exporters.servicebus.budget import unshared
from exporters.servicebus.client import Client
from exporters.servicebus.connection import parse_connection_string, parse_host
from exporters.servicebus.credentials import SharedKeyCredential
from exporters.servicebus.entities import Failure, Snapshot
from exporters.servicebus.errors import Reason
from exporters.servicebus.read_options import ReadOptions
from exporters.servicebus.reader import read_namespace
from exporters.servicebus.request_rate import Allowance
from simulator import SimulatedNamespace, Simulator

# $namespaceinfo and one page each of queues and topics come before subscriptions.
LISTINGS = 3


@dataclass
class Hub:
    """Reads a namespace repeatedly, and keeps from one read to the next what a hub keeps."""

    client: Client
    bus: SimulatedNamespace
    last: Snapshot | None = None
    known_pages: dict[str, int] = field(default_factory=dict)

    async def read(self, requests: int, *, seconds: float = 10, max_age: float = 300) -> Snapshot:
        """Read with a budget of `requests` requests that is not refilled during the read."""

        async def last_read() -> Snapshot | None:
            return self.last

        connection = parse_connection_string(self.bus.connection_string)
        source = ReadOptions(
            parse_host(self.bus.host),
            SharedKeyCredential(connection.key_name, connection.key),
            known_pages=self.known_pages,
            last_read=last_read,
            max_age_seconds=max_age,
        )
        deadline = asyncio.get_running_loop().time() + seconds
        budget = unshared(Allowance(requests_per_second=0.001, burst=requests))
        self.last = await read_namespace(source, self.client, deadline=deadline, budget=budget)
        return self.last


@pytest.fixture
def large(simulator: Simulator) -> SimulatedNamespace:
    bus = simulator.add_namespace("large")
    bus.add_queue("orders")
    for number in range(12):
        topic = bus.add_topic(f"topic-{number:02}")
        topic.add_subscription("billing", active=number)
        topic.add_subscription("audit")
    return bus


@pytest.fixture
def hub(client: Client, large: SimulatedNamespace) -> Hub:
    return Hub(client, large)


def failures(snapshot: Snapshot) -> dict[str, Failure]:
    return {name: failure for name, failure in snapshot.collectors.items() if failure is not None}


async def test_what_the_budget_does_not_allow_keeps_its_last_values_and_tells_their_age(hub: Hub) -> None:
    whole = await hub.read(100)
    assert (whole.requests, whole.topics_read_at) == (LISTINGS + 12, {})
    assert whole.oldest_began_at == whole.began_at
    for topic in hub.bus.topics.values():
        for subscription in topic.subscriptions.values():
            subscription.active += 1000
    limited = await hub.read(LISTINGS + 4)
    assert failures(limited) == {}
    assert limited.requests == LISTINGS + 4
    assert len(limited.subscriptions) == 24
    fresh = {each.topic_name for each in limited.subscriptions if each.counts and each.counts.active >= 1000}
    assert len(fresh) == 4
    assert set(limited.topics_read_at) == {topic.name for topic in limited.topics} - fresh
    assert limited.oldest_began_at == whole.began_at < limited.began_at


async def test_the_longest_unread_topics_come_first_so_that_each_has_its_turn(hub: Hub) -> None:
    await hub.read(100)
    turns: list[set[str]] = []
    for _ in range(3):
        before = len(hub.bus.requests)
        await hub.read(LISTINGS + 4)
        paths = [request.path for request in list(hub.bus.requests)[before:]]
        turns.append({path for path in paths if path.endswith("/subscriptions")})
    assert [len(turn) for turn in turns] == [4, 4, 4]
    assert len(set.union(*turns)) == 12


async def test_before_every_topic_was_read_once_the_read_is_not_whole_and_says_budget(hub: Hub) -> None:
    first = await hub.read(LISTINGS + 5)
    assert set(failures(first)) == {"subscriptions"}
    assert failures(first)["subscriptions"].reason is Reason.BUDGET
    assert len(first.subscriptions) == 10
    second = await hub.read(LISTINGS + 5)
    assert set(failures(second)) == {"subscriptions"}
    third = await hub.read(LISTINGS + 5)
    assert failures(third) == {}
    assert len(third.subscriptions) == 24


async def test_values_that_are_too_old_have_no_samples_any_more(hub: Hub) -> None:
    await hub.read(100)
    await asyncio.sleep(0.3)
    late = await hub.read(LISTINGS + 4, max_age=0.2)
    assert failures(late)["subscriptions"].reason is Reason.BUDGET
    assert len(late.subscriptions) == 8
    assert late.topics_read_at == {}


async def test_nothing_is_carried_over_for_what_is_gone_or_was_made_anew(hub: Hub) -> None:
    await hub.read(100)
    await hub.read(LISTINGS + 4)
    hub.bus.delete_topic("topic-00")
    hub.bus.topics["topic-05"].delete_subscription("audit")
    hub.bus.delete_topic("topic-07")
    hub.bus.add_topic("topic-07").add_subscription("new")
    snapshot = await hub.read(LISTINGS + 2)  # enough for these two topics, of which nothing is known
    assert failures(snapshot) == {}
    names = {(each.topic_name, each.name) for each in snapshot.subscriptions}
    assert not {pair for pair in names if pair[0] == "topic-00"}
    assert {pair for pair in names if pair[0] == "topic-05"} == {("topic-05", "billing")}
    assert {pair for pair in names if pair[0] == "topic-07"} == {("topic-07", "new")}
    assert len(names) == 11 * 2 - 2


async def test_a_namespace_too_large_for_its_budget_does_not_sit_out_its_deadline(hub: Hub) -> None:
    await hub.read(100)
    snapshot = await hub.read(LISTINGS + 2, seconds=60)
    assert failures(snapshot) == {}
    assert snapshot.duration_seconds < 30


async def test_without_leave_for_the_listings_the_reason_is_budget(hub: Hub) -> None:
    await hub.read(100)
    snapshot = await hub.read(1, seconds=2)
    assert {failure.reason for failure in failures(snapshot).values()} == {Reason.BUDGET}
    assert snapshot.subscriptions == ()


async def test_topics_that_service_bus_throttles_keep_their_values_too(hub: Hub) -> None:
    await hub.read(100)
    hub.bus.faults.set("throttle", path="*/subscriptions", retry_after=30)
    snapshot = await hub.read(100)
    assert failures(snapshot) == {}
    assert len(snapshot.subscriptions) == 24
    # After one refusal, the following requests are not sent, because they would be refused as well.
    assert 1 <= snapshot.throttled_requests <= 16
    assert len(snapshot.topics_read_at) == 12


async def test_what_was_not_read_for_another_reason_is_never_taken_for_known(hub: Hub) -> None:
    await hub.read(100)
    hub.bus.faults.set("server_error", path="/topic-03/subscriptions")
    failed = await hub.read(100)
    assert failures(failed)["subscriptions"].reason is Reason.SERVER_ERROR
    assert failed.topics_unread == {"topic-03"}
    hub.bus.faults.clear()
    limited = await hub.read(LISTINGS + 1)
    assert failures(limited) == {}
    # It was read first, because nothing was known about it.
    assert "topic-03" not in limited.topics_read_at
    assert len(limited.subscriptions) == 24


async def test_what_two_reads_side_by_side_have_learnt_comes_together(hub: Hub) -> None:
    first = await hub.read(LISTINGS + 4)
    second = await hub.read(LISTINGS + 4)
    hub.last = None
    third = await hub.read(LISTINGS + 4)
    assert (len(first.subscriptions), len(second.subscriptions), len(third.subscriptions)) == (8, 16, 8)
    both = with_fresher(third, second, 1_000)
    assert both.topics_unread == third.topics_unread & second.topics_unread
    assert len(both.subscriptions) == 2 * (12 - len(both.topics_unread))
    assert with_fresher(both, second, 1_000) == both
    assert both.oldest_began_at <= second.began_at


async def test_what_comes_together_keeps_to_the_limit(hub: Hub) -> None:
    first = await hub.read(LISTINGS + 4)
    second = await hub.read(LISTINGS + 4)
    limit = len(first.queues) + len(first.topics) + 5
    both = with_fresher(first, second, limit)
    assert len(both.subscriptions) == 5
    assert [each.topic_name for each in both.subscriptions] == sorted(
        each.topic_name for each in both.subscriptions
    )
    assert both.dropped == {"limit": len(second.subscriptions) - 5}
