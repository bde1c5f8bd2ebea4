"""Complete reads of simulated namespaces, over TLS."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from exporters.servicebus import reader
from exporters.servicebus.client import Client
from exporters.servicebus.credentials import SharedKeyCredential
from exporters.servicebus.errors import Reason
from exporters.servicebus.read_options import ReadOptions
from simulator import SimulatedNamespace, Simulator
from simulator.certificates import CertificateStore
from tests.support import hostile

from .conftest import ReadBus, reasons
from .raw import here, serving


async def test_everything_is_read(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    snapshot = await read_bus(bus)
    assert snapshot.collectors == dict.fromkeys(["namespace", "queues", "topics", "subscriptions"])
    assert [(queue.name, queue.counts and queue.counts.active) for queue in snapshot.queues] == [
        ("orders", 3),
        ("team/invoices", 7),
    ]
    assert [topic.name for topic in snapshot.topics] == ["events"]
    assert {(each.topic_name, each.name) for each in snapshot.subscriptions} == {
        ("events", "audit"),
        ("events", "billing"),
    }
    assert snapshot.info
    assert snapshot.info.sku == "Standard"
    assert snapshot.requests == bus.requests.total == 4


@pytest.mark.parametrize("number", [250, 1000])
async def test_all_queues_are_read_each_once(simulator: Simulator, read_bus: ReadBus, number: int) -> None:
    bus = simulator.add_namespace("many")
    for each in range(number):
        bus.add_queue(f"queue-{each}", active=each)
    snapshot = await read_bus(bus)
    assert {queue.name: queue.counts and queue.counts.active for queue in snapshot.queues} == {
        f"queue-{each}": each for each in range(number)
    }
    assert len(snapshot.queues) == number


@pytest.mark.parametrize("number", [100, 120, 200, 201])
async def test_all_subscriptions_of_a_topic_are_read_each_once(
    simulator: Simulator, read_bus: ReadBus, number: int
) -> None:
    bus = simulator.add_namespace("fan-out")
    topic = bus.add_topic("team/events")
    for each in range(number):
        topic.add_subscription(f"subscription-{each}", active=each)
    snapshot = await read_bus(bus)
    assert snapshot.collectors["subscriptions"] is None
    assert Counter(each.name for each in snapshot.subscriptions) == Counter(
        f"subscription-{each}" for each in range(number)
    )
    pages = -(-(number - 1) // 99)  # they overlap by one
    assert snapshot.requests == 3 + pages  # namespace, queues, topics; no page known to be empty


@pytest.mark.parametrize("count", [-1, -(10**12), 0, 1, 30_000_000, 10**12])
@pytest.mark.parametrize("number", [0, 2, 120])
async def test_a_topic_that_tells_a_wrong_number_of_subscriptions_is_read_whole(
    simulator: Simulator, read_bus: ReadBus, count: int, number: int
) -> None:
    bus = simulator.add_namespace("wrong")
    topic = bus.add_topic("events", subscription_count=count)
    for each in range(number):
        topic.add_subscription(f"subscription-{each:03}")
    snapshot = await read_bus(bus)
    assert reasons(snapshot) == set()
    assert len(snapshot.subscriptions) == number
    assert snapshot.dropped == {}
    concurrency = 16
    assert snapshot.requests <= 3 + 2 + 2 * concurrency


async def test_a_deleted_queue_is_gone_with_the_next_read(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    await read_bus(bus)
    bus.delete_queue("orders")
    assert [queue.name for queue in (await read_bus(bus)).queues] == ["team/invoices"]


async def test_a_topic_deleted_after_the_listing_is_gone_and_no_failure(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    bus.faults.set("delete_topic", topic="events")
    snapshot = await read_bus(bus)
    assert all(failure is None for failure in snapshot.collectors.values())
    assert snapshot.topics == ()
    assert snapshot.subscriptions == ()


async def test_excluded_topics_cost_no_request_and_are_counted(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    bus.add_topic("telemetry").add_subscription("sink")
    snapshot = await read_bus(bus, include="events|orders", exclude="tele.*")
    assert [queue.name for queue in snapshot.queues] == ["orders"]
    assert [topic.name for topic in snapshot.topics] == ["events"]
    assert snapshot.dropped == {"filtered": 2}
    assert not [path for path in bus.requests.paths() if "telemetry" in path]


async def test_patterns_match_whole_names(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    snapshot = await read_bus(bus, include="order")
    assert snapshot.queues == ()


async def test_entities_that_repeat_between_pages_are_shown_once_and_counted(
    simulator: Simulator, read_bus: ReadBus
) -> None:
    bus = simulator.add_namespace("shifting")
    for each in range(150):
        bus.add_queue(f"queue-{each}")
    bus.faults.set("shifted", by=3)
    snapshot = await read_bus(bus)
    assert len({queue.name for queue in snapshot.queues}) == len(snapshot.queues) == 150
    assert snapshot.dropped == {"duplicate": 3}


@pytest.mark.parametrize("by", [-40, -3, -1, 1, 40])
async def test_pages_that_begin_elsewhere_than_requested_hide_nothing(
    simulator: Simulator, read_bus: ReadBus, by: int
) -> None:
    bus = simulator.add_namespace("shifting")
    for each in range(450):
        bus.add_queue(f"queue-{each:03}")
    bus.faults.set("shifted", by=by)
    snapshot = await read_bus(bus, known_pages={"queues": 5})
    assert reasons(snapshot) == set()
    assert [queue.name for queue in snapshot.queues] == [f"queue-{each:03}" for each in range(450)]


async def test_queues_that_are_recreated_all_the_time_fail_and_hide_no_topic(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    bus.faults.set("recreated")
    snapshot = await read_bus(bus)
    assert reasons(snapshot) == {Reason.CHANGED}
    assert snapshot.collectors["queues"]
    assert len(snapshot.subscriptions) == 2
    bus.faults.clear()
    assert reasons(await read_bus(bus)) == set()


async def test_what_is_above_max_entities_is_left_out_and_counted(
    simulator: Simulator, read_bus: ReadBus
) -> None:
    bus = simulator.add_namespace("large")
    for each in range(30):
        bus.add_queue(f"queue-{each}")
    snapshot = await read_bus(bus, max_entities=20)
    assert len(snapshot.queues) == 20
    assert snapshot.dropped == {"limit": 10}


async def test_names_and_texts_of_one_read_have_a_bound(
    simulator: Simulator, read_bus: ReadBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = simulator.add_namespace("texts")
    for number in range(10):
        bus.add_queue(f"queue-{number}", user_metadata="m" * 1000)
    monkeypatch.setattr(reader, "MAX_READ_CHARACTERS", 10_000)
    assert reasons(await read_bus(bus)) == {Reason.TOO_LARGE}
    monkeypatch.setattr(reader, "MAX_READ_CHARACTERS", 11_000)
    assert not reasons(await read_bus(bus))


async def test_missing_counts_are_unknown(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    bus.faults.set("no_counts")
    snapshot = await read_bus(bus)
    assert all(queue.counts is None for queue in snapshot.queues)
    assert all(failure is None for failure in snapshot.collectors.values())


async def test_a_next_link_to_another_host_is_not_followed(simulator: Simulator, read_bus: ReadBus) -> None:
    bus = simulator.add_namespace("linked")
    for each in range(150):
        bus.add_queue(f"queue-{each}")
    bus.faults.set("next_link", host="elsewhere.example")
    assert len((await read_bus(bus)).queues) == 150


async def test_a_part_that_fails_leaves_the_others(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    bus.faults.set("server_error", path="/events/subscriptions")
    snapshot = await read_bus(bus)
    failure = snapshot.collectors["subscriptions"]
    assert failure
    assert failure.reason is Reason.SERVER_ERROR
    assert snapshot.collectors["queues"] is None
    assert len(snapshot.queues) == 2


async def test_a_refused_key_is_not_tried_a_hundred_times(simulator: Simulator, read_bus: ReadBus) -> None:
    bus = simulator.add_namespace("closed")
    for each in range(50):
        bus.add_topic(f"topic-{each}").add_subscription("all")
    bus.faults.set("unauthorized")
    snapshot = await read_bus(bus)
    assert {failure and failure.reason for failure in snapshot.collectors.values()} == {Reason.UNAUTHORIZED}
    assert bus.requests.total <= 3


async def test_no_more_requests_are_under_way_than_the_concurrency_allows(
    simulator: Simulator, read_bus: ReadBus
) -> None:
    bus = simulator.add_namespace("wide", latency=0.01)
    for each in range(40):
        bus.add_topic(f"topic-{each}").add_subscription("all")
    for _ in range(3):
        await read_bus(bus, concurrency=5)
    assert bus.requests.most_in_flight == 5


async def test_two_reads_at_once_of_two_namespaces_never_mix(simulator: Simulator, read_bus: ReadBus) -> None:
    buses = []
    for name in ("left", "right"):
        bus = simulator.add_namespace(name, latency=0.005)
        for each in range(120):
            bus.add_queue(f"{name}-{each}")
            bus.add_topic(f"{name}-topic-{each}").add_subscription(f"{name}-subscription")
        buses.append(bus)
    for snapshot, bus in zip(await asyncio.gather(*map(read_bus, buses)), buses, strict=True):
        names = [each.name for each in (*snapshot.queues, *snapshot.topics, *snapshot.subscriptions)]
        assert len(names) == 360
        assert all(name.startswith(bus.name) for name in names)


@pytest.mark.parametrize("fault", ["hang", "trickle"])
async def test_the_deadline_is_kept_and_what_was_read_is_there(
    bus: SimulatedNamespace, read_bus: ReadBus, fault: str
) -> None:
    bus.faults.set(fault, path="/events/subscriptions")
    loop = asyncio.get_running_loop()
    started = loop.time()
    snapshot = await read_bus(bus, seconds=1.0)
    assert loop.time() - started < 3
    failure = snapshot.collectors["subscriptions"]
    assert failure
    assert failure.reason is Reason.TIMEOUT
    assert snapshot.collectors["queues"] is None
    assert len(snapshot.queues) == 2


async def test_the_deadline_is_kept_when_the_handshake_hangs(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    host = bus.own_host
    bus.faults.set("hang_handshake")
    snapshot = await read_bus(bus, host=host, seconds=0.5)
    assert reasons(snapshot) <= {Reason.TIMEOUT}
    assert snapshot.collectors["queues"]


@pytest.mark.parametrize(
    ("fault", "options", "reason"),
    [
        ("unauthorized", {}, Reason.UNAUTHORIZED),
        ("unauthorized", {"body": "empty"}, Reason.UNAUTHORIZED),
        ("forbidden", {}, Reason.FORBIDDEN),
        ("not_found", {}, Reason.NOT_FOUND),
        ("throttle", {"retry_after": 30}, Reason.THROTTLED),
        ("unavailable", {}, Reason.THROTTLED),
        ("server_error", {}, Reason.SERVER_ERROR),
        ("redirect", {}, Reason.MALFORMED),
        ("html", {}, Reason.MALFORMED),
        ("empty", {}, Reason.MALFORMED),
        ("truncated", {}, Reason.MALFORMED),
        ("bomb", {}, Reason.MALFORMED),
        ("endless", {}, Reason.TOO_LARGE),
        ("cut", {}, Reason.CONNECTION),
        ("reset", {}, Reason.CONNECTION),
        ("disconnect", {}, Reason.CONNECTION),
        ("unknown_ca", {}, Reason.TLS),
        ("wrong_host", {}, Reason.TLS),
    ],
)
async def test_every_fault_has_its_reason(
    bus: SimulatedNamespace, read_bus: ReadBus, fault: str, options: dict[str, object], reason: Reason
) -> None:
    bus.faults.set(fault, **options)
    snapshot = await read_bus(bus)
    assert reasons(snapshot) == {reason}
    assert snapshot.collectors["queues"]


async def test_a_refused_connection_and_a_name_that_does_not_resolve_have_their_reasons(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    host = bus.own_host
    bus.faults.set("refuse")
    refused = (await read_bus(bus, host=host)).collectors["queues"]
    assert refused
    assert refused.reason is Reason.CONNECTION
    unknown = (await read_bus(bus, host="no-such-name-anywhere.servicebus.windows.net")).collectors["queues"]
    assert unknown
    assert unknown.reason is Reason.DNS


async def test_pages_that_are_known_from_the_last_read_are_asked_for_at_once(
    simulator: Simulator, read_bus: ReadBus
) -> None:
    bus = simulator.add_namespace("paged", latency=0.3)
    for each in range(450):
        bus.add_queue(f"queue-{each:03}")
    known: dict[str, int] = {}
    await read_bus(bus, known_pages=known)
    assert known == {"queues": 5, "topics": 1}
    bus.requests.clear()
    assert len((await read_bus(bus, known_pages=known)).queues) == 450
    assert bus.requests.most_in_flight >= 5
    assert bus.requests.total == 7


async def test_a_listing_that_grew_or_shrank_since_the_last_read_is_still_read_whole(
    simulator: Simulator, read_bus: ReadBus
) -> None:
    bus = simulator.add_namespace("moving")
    for each in range(250):
        bus.add_queue(f"queue-{each:03}")
    known = {"queues": 1}
    assert len((await read_bus(bus, known_pages=known)).queues) == 250
    known["queues"] = 7
    snapshot = await read_bus(bus, known_pages=known)
    assert len(snapshot.queues) == 250
    assert snapshot.dropped == {}
    assert known == {"queues": 3, "topics": 1}


@pytest.mark.parametrize(
    "answer",
    [hostile.feed(), hostile.feed(hostile.entry("a"), hostile.entry("b")), hostile.feed(hostile.entry("a"))],
    ids=["no entity", "two entities", "another one"],
)
async def test_an_answer_that_is_not_the_one_entity_asked_for_is_a_failure(
    client: Client, certificates: Path, answer: bytes
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(hostile.answered(answer))

    async with serving(serve, CertificateStore(certificates).context()) as port:
        source = ReadOptions(here(port), SharedKeyCredential("root", "a2V5"), entity_path="orders")
        snapshot = await reader.read_namespace(
            source, client, deadline=asyncio.get_running_loop().time() + 10
        )
    assert reasons(snapshot) == {Reason.MALFORMED}
    assert not snapshot.queues
