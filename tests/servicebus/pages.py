"""Pages as the service sends them."""

import datetime as dt
from collections.abc import Callable, Sequence

from exporters.servicebus import atom
from simulator import render
from simulator.entities import (
    SharedKey,
    SimulatedEntity,
    SimulatedQueue,
    SimulatedSubscription,
    SimulatedTopic,
)
from tests.support.programs import RECORDINGS

HOST = "tests.servicebus.windows.net"
_NOON = dt.datetime(2026, 11, 27, 12, 0, 0, 123456, tzinfo=dt.UTC)
_KEY = SharedKey("sender", "c2VjcmV0IHNlY3JldCBzZWNyZXQ=", frozenset({"Send", "Listen"}), created=_NOON)
_PATHS = {
    "Queues": "/$Resources/queues",
    "Topics": "/$Resources/topics",
    "Subscriptions": "/topic/subscriptions",
}


def page(entities: Sequence[SimulatedEntity], next_link: str | None = None) -> bytes:
    """Return a page of a listing as the service sends it."""
    kinds = {SimulatedQueue: "Queues", SimulatedTopic: "Topics", SimulatedSubscription: "Subscriptions"}
    kind = kinds[type(entities[0])]
    query = "$skip=0&$top=100&api-version=2021-05"
    scene = render.Scene("tests", HOST, _PATHS[kind], query, "2021-05", "Standard")
    return render.feed(scene, kind, entities, next_link)


def queues(count: int, *, varied: bool = False) -> list[SimulatedQueue]:
    found = []
    for number in range(count):
        queue = SimulatedQueue(
            f"queue-{number}",
            active=number * 37,
            dead_letter=number % 3,
            size_bytes=number * 10**9,
            created=_NOON - dt.timedelta(days=number),
            updated=_NOON,
            accessed=_NOON if number % 2 else None,
        )
        if varied:
            queue.update(
                has_counts=number % 5 != 0,
                status=["Active", "SendDisabled", "Disabled"][number % 3],
                user_metadata=[None, "owner: a & b", "<ü>\r\n&amp;", ""][number % 4],
                forward_to="archive" if number % 6 == 0 else None,
                keys=[_KEY] * (number % 3),
                default_message_ttl="P14D" if number % 2 else None,
            )
        found.append(queue)
    return found


def topics(count: int) -> list[SimulatedTopic]:
    return [
        SimulatedTopic(
            f"topic/{number}", size_bytes=number, subscription_count=number, created=_NOON, updated=_NOON
        )
        for number in range(count)
    ]


def subscriptions(count: int) -> list[SimulatedSubscription]:
    return [
        SimulatedSubscription(
            f"subscription-{number}",
            topic_name="topic",
            active=number,
            created=_NOON,
            updated=_NOON,
            accessed=_NOON,
        )
        for number in range(count)
    ]


def parse_subscriptions(body: bytes) -> atom.Page[object]:
    return atom.parse_subscriptions(body, "topic")  # type: ignore[return-value]


PARSERS: dict[str, Callable[[bytes], object]] = {
    "queue": atom.parse_queues,
    "topic": atom.parse_topics,
    "subscription": parse_subscriptions,
    "kind": atom.kind_of_entry,
    "namespace": atom.parse_namespace_info,
}


def seeds() -> list[bytes]:
    """Return real pages: the simulator's, and the recorded ones if they are available."""
    scene = render.Scene("tests", HOST, "/$namespaceinfo", "", "2021-05", "Premium")
    return [
        page(queues(3)),
        page(queues(1)),
        page(queues(8, varied=True), f"https://{HOST}/$Resources/queues?%24skip=100&%24top=100"),
        page(topics(3)),
        page(subscriptions(3)),
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>' + page(subscriptions(1)),
        render.entry(scene, queues(1)[0]),
        render.namespace_info(scene, alias=None, created=_NOON, modified=_NOON, messaging_units=1),
        *(path.read_bytes() for path in sorted(RECORDINGS.glob("*.xml"))),
    ]
