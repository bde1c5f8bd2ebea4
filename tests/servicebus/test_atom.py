"""Pages as they were recorded, and pages that no service should send."""

import math
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporters.servicebus import atom, entry_layout
from exporters.servicebus.connection import Endpoint
from exporters.servicebus.credentials import SharedKeyCredential
from exporters.servicebus.entities import Counts, NamespaceInfo
from exporters.servicebus.entity_fields import QUEUE
from exporters.servicebus.errors import Reason, ServiceBusError
from simulator import Simulator
from tests.support.programs import require_recordings

ZEROS = Counts(0, 0, 0, 0, 0)


@pytest.fixture
def recording() -> Callable[[str], bytes]:
    folder = require_recordings()
    return lambda name: Path(folder / name).read_bytes()


def subscriptions(body: bytes) -> atom.Page[Any]:
    return atom.parse_subscriptions(body, "events")


def test_the_recorded_premium_queue(recording: Callable[[str], bytes]) -> None:
    [queue] = atom.parse_queues(recording("queue_entry_premium_v2021-05.xml")).entities
    assert queue.name == "iweidk"
    assert queue.status == "active"
    assert queue.counts == ZEROS
    assert queue.messages == 0
    assert queue.size_bytes == 0
    assert queue.max_size_bytes == 3072 * 1024 * 1024
    assert queue.max_delivery_count == 14
    assert queue.lock_duration_seconds == 13
    assert queue.default_message_ttl_seconds == 11 * 60
    assert queue.requires_session is True
    assert queue.partitioned is False
    assert queue.accessed is None  # the year 0001: never
    assert math.isclose(queue.created or 0, 1632855851.51)
    assert math.isclose(queue.updated or 0, 1632855852.12)


def test_a_recorded_entry_without_count_details_has_unknown_counts_and_its_name_keeps_the_slash(
    recording: Callable[[str], bytes],
) -> None:
    body = recording("queue_entry_put201_slash_name_no_CountDetails_v2017-04.xml")
    [queue] = atom.parse_queues(body).entities
    assert queue.name == "txt/.-_123"
    assert queue.counts is None
    assert queue.accessed is None
    assert queue.default_message_ttl_seconds is None  # .NET's TimeSpan.MaxValue: forever


def test_the_recorded_2018_queues(recording: Callable[[str], bytes]) -> None:
    foo, bar = atom.parse_queues(recording("go_queue_feed.xml")).entities
    assert (foo.name, foo.counts, foo.messages, foo.default_message_ttl_seconds) == (
        "foo",
        None,
        0,
        14 * 86400,
    )
    assert (bar.name, bar.messages, bar.size_bytes, bar.partitioned) == ("bar", 23, 256, True)
    assert bar.lock_duration_seconds == 120


def test_the_recorded_topics(recording: Callable[[str], bytes]) -> None:
    [topic] = atom.parse_topics(recording("topics_feed_one_v2017-04.xml")).entities
    assert (topic.name, topic.subscription_count, topic.counts, topic.accessed) == (
        "test_topic",
        0,
        ZEROS,
        None,
    )
    [old] = atom.parse_topics(recording("go_topic_entry.xml")).entities
    assert (old.name, old.subscription_count, old.counts) == ("foo", None, None)


@pytest.mark.parametrize(
    ("name", "expected", "accessed"),
    [
        ("subscriptions_feed_one_v2021-05.xml", "cxqplc", 1634793719.403),
        ("subscription_entry_d3p1_v2021-05.xml", "subscription-729", 1667427298.767),
    ],
)
def test_the_recorded_subscriptions_whatever_the_prefix_of_the_counts(
    recording: Callable[[str], bytes], name: str, expected: str, accessed: float
) -> None:
    [subscription] = subscriptions(recording(name)).entities
    assert subscription.topic_name == "events"
    assert subscription.name == expected
    assert subscription.counts == ZEROS
    assert subscription.default_message_ttl_seconds is None
    assert math.isclose(subscription.accessed or 0, accessed)


@pytest.mark.parametrize(
    ("name", "parse"),
    [
        ("queues_feed_empty_v2017-04.xml", atom.parse_queues),
        ("topics_feed_empty_v2017-04.xml", atom.parse_topics),
        ("subscriptions_feed_empty_v2021-05.xml", subscriptions),
    ],
)
def test_a_recorded_empty_feed_holds_nothing_and_announces_nothing(
    recording: Callable[[str], bytes], name: str, parse: Callable[[bytes], atom.Page[Any]]
) -> None:
    assert parse(recording(name)) == atom.Page([], None, 0)


def test_the_recorded_next_link_is_read_with_its_quoted_dollar(recording: Callable[[str], bytes]) -> None:
    assert atom.parse_queues(recording("feed_next_link_sdk_comment.xml")).next_skip == 2


def test_the_recorded_namespace_infos(recording: Callable[[str], bytes]) -> None:
    standard = atom.parse_namespace_info(recording("namespaceinfo_standard_v2017-04.xml"))
    assert standard == NamespaceInfo("servicebustestv2fvof4o5i", "Standard", None)
    premium = atom.parse_namespace_info(recording("namespaceinfo_premium_javatest_excerpt.xml"))
    assert premium == NamespaceInfo("ShivangiServiceBus", "Premium", 1)


def test_the_recorded_answer_for_a_missing_entity_is_not_found(recording: Callable[[str], bytes]) -> None:
    with pytest.raises(ServiceBusError) as raised:
        atom.parse_queues(recording("notfound_200_publicly_listed_services.xml"))
    assert raised.value.reason is Reason.NOT_FOUND


ENTRY = """<entry xmlns="http://www.w3.org/2005/Atom"><title type="text">{name}</title><content type="application/xml">\
<QueueDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">{inner}</QueueDescription>\
</content></entry>"""
FEED = '<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Queues</title>{}</feed>'
COUNTS = (
    '<CountDetails xmlns:p="http://schemas.microsoft.com/netservices/2011/06/servicebus">'
    "<p:ActiveMessageCount>{0}</p:ActiveMessageCount><p:DeadLetterMessageCount>1</p:DeadLetterMessageCount>"
    "<p:ScheduledMessageCount>2</p:ScheduledMessageCount><p:TransferMessageCount>3</p:TransferMessageCount>"
    "<p:TransferDeadLetterMessageCount>4</p:TransferDeadLetterMessageCount></CountDetails>"
)


def feed(inner: str, name: str = "orders") -> bytes:
    return FEED.format(ENTRY.format(name=name, inner=inner)).encode()


def both_ways(body: bytes) -> Any:
    """Parse with the scanner, and with ElementTree by adding an unusual comment; both must give the same result."""
    scanned = atom.parse_queues(body)
    walked = atom.parse_queues(body.replace(b"</feed>", b"<!-- unusual --></feed>"))
    assert scanned == walked
    return scanned.entities[0]


def test_values_survive_beyond_32_bits() -> None:
    queue = both_ways(feed(f"<SizeInBytes>99999999999999</SizeInBytes>{COUNTS.format(2**40)}"))
    assert queue.size_bytes == 99999999999999
    assert queue.counts == Counts(2**40, 1, 2, 3, 4)


def test_names_and_metadata_are_unescaped_once() -> None:
    queue = both_ways(feed("<UserMetadata>&lt;Status&gt;&amp;amp;&#10;ü</UserMetadata>", name="a&amp;b"))
    assert queue.name == "a&b"
    assert queue.user_metadata == "<Status>&amp;\nü"
    assert queue.status is None


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00", ""])
def test_never_is_no_time(moment: str) -> None:
    assert both_ways(feed(f"<AccessedAt>{moment}</AccessedAt>")).accessed is None


def test_a_missing_count_makes_all_counts_unknown_and_none_of_them_zero() -> None:
    inner = COUNTS.format(5).replace("<p:TransferMessageCount>3</p:TransferMessageCount>", "")
    [queue] = atom.parse_queues(feed(inner)).entities
    assert queue.counts is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("SendDisabled", "send_disabled"), ("Active", "active"), ("Restoring", "restoring")],
)
def test_a_status_is_spelt_as_prometheus_spells(text: str, expected: str) -> None:
    assert both_ways(feed(f"<Status>{text}</Status>")).status == expected


BOMB = b'<!DOCTYPE f [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><feed xmlns="http://www.w3.org/2005/Atom">&b;</feed>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<html><body>Sign in</body></html>",
        b"<!DOCTYPE html><html></html>",
        BOMB,
        BOMB.decode().encode("utf-16"),
        b"\xff\xfe\x00",
        b"<feed",
        feed("<SizeInBytes>1</SizeInBytes>")[:-20],
        feed("<SizeInBytes>many</SizeInBytes>"),
        feed("<CreatedAt>yesterday</CreatedAt>"),
        feed("<LockDuration>1 minute</LockDuration>"),
        feed("<RequiresSession>perhaps</RequiresSession>"),
        b'{"error": "no"}',
        b'<other xmlns="http://www.w3.org/2005/Atom"/>',
        FEED.format('<link rel="next" href="https://x/?$skip=soon"/>').encode(),
        FEED.format('<entry xmlns="http://www.w3.org/2005/Atom"><title>x</title></entry>').encode(),
    ],
)
def test_what_is_no_page_is_malformed_and_nothing_of_it_is_repeated(body: bytes) -> None:
    with pytest.raises(ServiceBusError) as raised:
        atom.parse_queues(body)
    assert raised.value.reason is Reason.MALFORMED
    assert "many" not in raised.value.message
    assert "yesterday" not in raised.value.message


_PLAIN = "<LockDuration>PT1M</LockDuration><MessageCount>{0}</MessageCount><Status>Active</Status>"
_LAYOUTS = (
    _PLAIN + COUNTS,
    _PLAIN,
    _PLAIN + "<Unknown>{0}</Unknown>" + COUNTS,
    COUNTS + _PLAIN,
    _PLAIN.replace("Active", "") + "<ForwardTo>sb://a&amp;b/{0}</ForwardTo>" + COUNTS,
    "<AuthorizationRules><Rule><KeyName>k</KeyName></Rule></AuthorizationRules>" + _PLAIN + COUNTS,
    _PLAIN + COUNTS.replace("<p:", "<o:").replace("/p:", "/o:").replace("xmlns:p", "xmlns:o"),
    _PLAIN + "<UserMetadata/>" + COUNTS,
    "\n  " + _PLAIN.replace("><", ">\n  <") + COUNTS,
    "<Nothing /><Status>Disabled</Status><MessageCount>{0}</MessageCount>",
)


@pytest.mark.parametrize("first", range(len(_LAYOUTS)))
def test_entries_of_other_layouts_than_the_first_are_read_as_elementtree_does(first: int) -> None:
    order = [first, first, *range(len(_LAYOUTS)), first]
    entries = [
        ENTRY.format(name=f"queue-{place}", inner=_LAYOUTS[layout].format(place + 5))
        for place, layout in enumerate(order)
    ]
    body = FEED.format("".join(entries)).encode()
    both_ways(body)
    assert [queue.messages for queue in atom.parse_queues(body).entities] == [
        place + 5 for place in range(len(order))
    ]


def test_a_layout_is_learnt_from_entries_of_elements_and_values_alone() -> None:
    def learnt(inner: str) -> bool:
        return entry_layout.learn(ENTRY.format(name="a", inner=inner), QUEUE) is not None

    assert learnt(_PLAIN + COUNTS.format(1))
    assert learnt("\n  <Status>Active</Status>\n <x><y/></x>")
    assert learnt("<Status>a</Status><Status>b</Status>")
    assert not learnt("<!-- --><Status>Active</Status>")
    assert not learnt("<Status><![CDATA[Active]]></Status>")
    assert not learnt("<?skip ?><Status>Active</Status>")
    assert not learnt("<Status a='1'>Active</Status>")
    assert not learnt("<Status>Active<b/></Status>")
    assert not learnt("<Status>\n<b/></Status>")
    assert not learnt("<UserMetadata>a > b</UserMetadata>")
    assert not learnt("<Status>Active</Statu>")
    assert not learnt("<a></a>" * 1000)
    assert not learnt("<a>&amp;</a>" * 300)
    assert not learnt("x" * 100_000)


def test_of_a_next_link_only_the_skip_is_taken() -> None:
    body = FEED.format('<link rel="next" href="https://evil.example/x?%24skip=200&amp;%24top=100"/>').encode()
    assert atom.parse_queues(body).next_skip == 200


async def test_the_scanner_reads_every_page_of_the_simulator_as_elementtree_does(
    simulator: Simulator,
) -> None:
    bus = simulator.add_namespace("varied")
    for number in range(150):
        bus.add_queue(
            f"team-{number % 7}/queue&{number}",
            active=number * 10**9,
            size_bytes=number,
            status=["Active", "Disabled", "SendDisabled"][number % 3],
            has_counts=number % 5 != 0,
            user_metadata=f"<owner>{number}</owner>" if number % 4 == 0 else None,
            partitioned=number % 2 == 0,
            default_message_ttl="P14D" if number % 2 else None,
        )
    endpoint = Endpoint("localhost", bus.own_port())
    header = await SharedKeyCredential(bus.key_name, bus.key).authorization(endpoint)
    context = ssl.create_default_context(cafile=str(simulator.ca_file))
    async with aiohttp.ClientSession(headers={"Authorization": header}) as session:
        for skip in (0, 100):
            url = f"{endpoint.base_url}/$Resources/queues?$skip={skip}&$top=100&api-version=2021-05"
            async with session.get(url, ssl=context) as response:
                body = await response.read()
            page = atom.parse_queues(body)
            assert len(page.entities) == (100 if skip == 0 else 50)
            assert page == atom.parse_queues(body.replace(b"</feed>", b"<!-- unusual --></feed>"))
