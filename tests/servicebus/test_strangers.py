"""Reads of endpoints whose habits differ from the simulator's."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from exporters.servicebus.client import Client
from exporters.servicebus.connection import EndpointPolicy, parse_host
from exporters.servicebus.credentials import SharedKeyCredential
from exporters.servicebus.entities import Snapshot
from exporters.servicebus.errors import Reason
from exporters.servicebus.read_options import ReadOptions
from exporters.servicebus.reader import read_namespace
from simulator.certificates import CertificateStore

from .strangers import Stranger


async def read(stranger: Stranger, certificates: Path, known_pages: dict[str, int] | None = None) -> Snapshot:
    store = CertificateStore(certificates)
    async with stranger.serving(store.context()):
        client = Client(EndpointPolicy(allow_loopback=True), str(store.ca_file))
        try:
            source = ReadOptions(
                parse_host(f"stranger.servicebus.localhost:{stranger.port}"),
                SharedKeyCredential("root", "a2V5"),
                known_pages={} if known_pages is None else known_pages,
            )
            return await read_namespace(source, client, deadline=asyncio.get_running_loop().time() + 30)
        finally:
            await client.close()
            await asyncio.sleep(0.1)


def numbers(snapshot: Snapshot) -> tuple[dict[str, int | None], dict[tuple[str, str], int | None]]:
    return (
        {each.name: each.counts and each.counts.active for each in snapshot.queues},
        {(each.topic_name, each.name): each.counts and each.counts.active for each in snapshot.subscriptions},
    )


@pytest.mark.parametrize(
    "habits",
    [
        {},
        {"version": "HTTP/1.0"},
        {"close": True},
        {"chunked": True},
        {"chunked": True, "close": True},
        {"prefixed": True},
        {"declaration": False},
        {"namespace_info": "nothing here"},
        {"next_link": "https://elsewhere.example/{path}?$Skip={skip}&amp;$Top={top}&amp;api-version=2017-04"},
        {"next_link": "?api-version=2021-05&amp;$top={top}&amp;$skip={skip}"},
        {"page_size": 7},
    ],
    ids=str,
)
async def test_other_habits_of_an_endpoint_make_no_other_numbers(
    certificates: Path, habits: dict[str, Any]
) -> None:
    queues = [f"a&b/queue-{number}" for number in range(230)]
    topics = {
        "team/events": [f"subscription-{number}" for number in range(120)],
        "quiet": [],
        "small": ["one", "two"],
    }
    snapshot = await read(Stranger(queues, topics, **habits), certificates)
    assert {collector: failure for collector, failure in snapshot.collectors.items() if failure} == {}
    found_queues, found_subscriptions = numbers(snapshot)
    assert found_queues == {name: index for index, name in enumerate(queues)}
    assert found_subscriptions == {
        (topic, name): index for topic, names in topics.items() for index, name in enumerate(names)
    }
    assert len(snapshot.queues) == 230
    assert len(snapshot.subscriptions) == 122
    assert {topic.name for topic in snapshot.topics} == set(topics)
    assert snapshot.info is None


async def test_pages_that_became_shorter_since_the_last_read_are_still_read_whole(certificates: Path) -> None:
    queues = [f"queue-{number}" for number in range(230)]
    known = {"queues": 3}
    snapshot = await read(Stranger(queues, page_size=40), certificates, known)
    assert sorted(queue.name for queue in snapshot.queues) == sorted(queues)


async def test_a_single_page_needs_no_link(certificates: Path) -> None:
    stranger = Stranger([f"queue-{number}" for number in range(100)], next_link="")
    snapshot = await read(stranger, certificates)
    assert len(snapshot.queues) == 100
    assert len(stranger.asked) == 3


async def test_counts_that_the_endpoint_never_sends_are_unknown(certificates: Path) -> None:
    snapshot = await read(Stranger(["orders"], counts=False), certificates)
    assert numbers(snapshot)[0] == {"orders": None}
    assert not any(snapshot.collectors.values())


async def test_a_namespaceinfo_that_is_refused_does_not_hide_the_rest(certificates: Path) -> None:
    stranger = Stranger(["orders"], {f"topic-{each}": ["all"] for each in range(50)}, namespace_info="401")
    snapshot = await read(stranger, certificates)
    failure = snapshot.collectors.pop("namespace")  # type: ignore[attr-defined]
    assert failure.reason is Reason.UNAUTHORIZED
    assert not any(snapshot.collectors.values())
    assert len(snapshot.subscriptions) == 50


async def test_connections_that_the_endpoint_closes_after_each_answer_are_made_anew(
    certificates: Path,
) -> None:
    stranger = Stranger([f"queue-{number}" for number in range(250)], close=True)
    snapshot = await read(stranger, certificates)
    assert len(snapshot.queues) == 250
    assert stranger.connections == len(stranger.asked) == 5
