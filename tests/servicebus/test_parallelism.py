"""How many connections a read opens, and which of them later reads reuse."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.servicebus import client as client_module
from exporters.servicebus.budget import unshared
from exporters.servicebus.client import Client
from exporters.servicebus.connection import parse_connection_string, parse_host
from exporters.servicebus.credentials import SharedKeyCredential
from exporters.servicebus.entities import Snapshot
from exporters.servicebus.errors import Reason
from exporters.servicebus.parallelism import Parallelism
from exporters.servicebus.read_options import ReadOptions
from exporters.servicebus.reader import read_namespace
from exporters.servicebus.request_rate import Allowance
from simulator import SimulatedNamespace, Simulator

from .conftest import ReadBus, reasons

seconds = st.floats(0, 1e6)


@given(
    st.integers(1, 256),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 10**9), seconds, seconds, seconds), max_size=20),
)
def test_whatever_an_endpoint_does_no_more_than_the_concurrency_is_allowed_and_never_less_than_before(
    most: int, is_warm: bool, moments: list[tuple[int, float, float, float]]
) -> None:
    parallelism, before = Parallelism(most, is_warm=is_warm), 1
    for waiting, answer, asked, left in moments:
        parallelism.note_answer(answer)
        allowed = parallelism.allowed(waiting, asked, left)
        assert before <= allowed <= most
        assert not is_warm or allowed == most
        before = allowed


@pytest.mark.parametrize(
    ("waiting", "answer", "asked", "left", "allowed"),
    [
        (2, 0.05, 0.0, 9.0, 1),  # the waiting requests take 0.1 s
        (100, 0.02, 0.0, 9.0, 4),  # the waiting requests would take 2 s
        (100, 0.02, 0.06, 9.0, 4),  # a new connection takes a few more round trips
        (2, 0.05, 1.0, 9.0, 4),  # a response doesn't arrive
        (2, 0.05, 0.0, 0.1, 2),  # the deadline is near
        (0, 5.0, 9.0, 9.0, 1),
    ],
)
def test_a_cold_read_gets_the_connections_that_what_waits_pays_for(
    waiting: int, answer: float, asked: float, left: float, allowed: int
) -> None:
    parallelism = Parallelism(16, is_warm=False)
    parallelism.note_answer(answer)
    assert parallelism.allowed(waiting, asked, left) == allowed


async def test_a_first_read_of_a_small_namespace_opens_one_connection_and_later_ones_use_it(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    bus.latency = 0.02
    assert not reasons(await read_bus(bus))
    assert bus.handshakes == 1
    await read_bus(bus)
    handshakes = bus.handshakes
    assert handshakes > 1, "connections to this namespace are kept, so more than one pays"
    for _ in range(3):
        await read_bus(bus)
    assert bus.handshakes == handshakes


async def test_a_first_read_of_a_large_namespace_is_made_side_by_side(
    simulator: Simulator, read_bus: ReadBus
) -> None:
    bus = simulator.add_namespace("wide", latency=0.05)
    for each in range(200):
        bus.add_topic(f"topic-{each}").add_subscription("all")
    snapshot = await read_bus(bus, concurrency=16)
    assert len(snapshot.subscriptions) == 200
    assert bus.requests.most_in_flight == bus.handshakes == 16


async def test_a_request_that_hangs_does_not_hold_the_others_of_a_first_read_up(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    bus.faults.set("hang", path="/$namespaceinfo")
    snapshot = await read_bus(bus, seconds=3)
    assert len(snapshot.queues) == 2
    assert len(snapshot.subscriptions) == 2
    failure = snapshot.collectors["namespace"]
    assert failure
    assert failure.reason is Reason.TIMEOUT


async def test_a_connection_whose_answer_came_too_late_is_used_again(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    while bus.handshakes < 2:
        await read_bus(bus, concurrency=2)
    bus.latency = 0.6
    before = len(asyncio.all_tasks())
    assert reasons(await read_bus(bus, seconds=0.2, concurrency=2)) == {Reason.TIMEOUT}
    await _until_tasks_are(before)
    bus.latency = 0
    assert not reasons(await read_bus(bus, concurrency=2))
    assert bus.handshakes == 2


async def test_a_late_answer_that_asks_to_slow_down_is_heard(bus: SimulatedNamespace, client: Client) -> None:
    connection = parse_connection_string(bus.connection_string)
    source = ReadOptions(parse_host(bus.host), SharedKeyCredential(connection.key_name, connection.key))
    budget = unshared(Allowance(requests_per_second=100, burst=100))

    async def read(seconds: float) -> Snapshot:
        deadline = asyncio.get_running_loop().time() + seconds
        return await read_namespace(source, client, deadline=deadline, budget=budget)

    bus.latency = 0.6
    bus.faults.set("throttle", retry_after=30)
    before = len(asyncio.all_tasks())
    assert reasons(await read(0.2)) == {Reason.TIMEOUT}
    await _until_tasks_are(before)
    bus.latency = 0
    bus.faults.clear()
    assert reasons(await read(5)) == {Reason.THROTTLED}


async def _until_tasks_are(number: int) -> None:
    for _ in range(400):
        if len(asyncio.all_tasks()) <= number:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("a task does not end")


async def test_an_answer_that_never_comes_is_not_waited_for_without_end(
    bus: SimulatedNamespace, read_bus: ReadBus, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_LATE_SECONDS", 0.5)
    bus.faults.set("hang")
    before = len(asyncio.all_tasks())
    assert Reason.TIMEOUT in reasons(await read_bus(bus, seconds=0.2))
    assert len(asyncio.all_tasks()) > before
    await asyncio.sleep(0.8)
    assert len(asyncio.all_tasks()) == before
    assert not client.is_connected(parse_host(bus.host))


async def test_only_so_many_late_answers_are_waited_for(
    bus: SimulatedNamespace, read_bus: ReadBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_LATE_ANSWERS", 2)
    bus.faults.set("hang")
    before = len(asyncio.all_tasks())
    for _ in range(4):
        await read_bus(bus, seconds=0.1)
    assert len(asyncio.all_tasks()) == before + 2


async def test_closing_the_client_ends_what_is_late(
    bus: SimulatedNamespace, read_bus: ReadBus, client: Client
) -> None:
    bus.faults.set("hang")
    before = len(asyncio.all_tasks())
    await read_bus(bus, seconds=0.1)
    await client.close()
    assert len(asyncio.all_tasks()) == before
