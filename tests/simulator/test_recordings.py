"""The simulator's responses compared with recorded ones: same elements, same XML namespaces, same order."""

import datetime as dt
from pathlib import Path
from xml.etree import ElementTree

import pytest

from simulator import SimulatedNamespace, Simulator
from tests.support import programs

from .asking import ATOM, get

Shape = list[tuple[int, str, str]]


@pytest.fixture
def recordings() -> Path:
    return programs.require_recordings()


def _shape(element: ElementTree.Element, depth: int = 0) -> Shape:
    """Return every element with its depth and its attribute names."""
    shape = [(depth, element.tag, " ".join(sorted(element.keys())))]
    for child in element:
        shape += _shape(child, depth + 1)
    return shape


def _recorded(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()


def _texts(element: ElementTree.Element) -> list[tuple[str, str]]:
    return [(child.tag.rpartition("}")[2], (child.text or "").strip()) for child in element.iter()]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("queues_feed_empty_v2017-04.xml", "/$Resources/queues?$skip=0&$top=100&api-version=2017-04"),
        ("topics_feed_empty_v2017-04.xml", "/$Resources/topics?$skip=0&$top=100&api-version=2017-04"),
        (
            "subscriptions_feed_empty_v2021-05.xml",
            "/dkoamv/subscriptions?$skip=0&$top=100&api-version=2021-05",
        ),
    ],
)
def test_an_empty_feed(namespace: SimulatedNamespace, recordings: Path, name: str, path: str) -> None:
    if "/subscriptions" in path:
        namespace.add_topic("dkoamv")
    recorded, sent = _recorded(recordings / name), get(namespace, path).root
    assert _shape(sent) == _shape(recorded)
    assert sent.findtext(f"{ATOM}title") == recorded.findtext(f"{ATOM}title")
    address = f"https://{namespace.host}{path}"
    assert sent.findtext(f"{ATOM}id") == address
    assert (recorded.findtext(f"{ATOM}id") or "").endswith(path)


def test_a_feed_of_topics(namespace: SimulatedNamespace, recordings: Path) -> None:
    recorded = _recorded(recordings / "topics_feed_one_v2017-04.xml")
    namespace.add_topic(
        "test_topic",
        created=dt.datetime(2020, 8, 18, 21, 12, 11, 90_000, tzinfo=dt.UTC),
        updated=dt.datetime(2020, 8, 18, 21, 12, 11, 170_000, tzinfo=dt.UTC),
    )
    sent = get(namespace, "/$Resources/topics?$skip=0&$top=100&api-version=2017-04").root
    assert _shape(sent) == _shape(recorded)
    assert _texts(next(sent.iter(f"{ATOM}content"))) == _texts(next(recorded.iter(f"{ATOM}content")))
    links = [next(feed.iter(f"{ATOM}entry")).find(f"{ATOM}link") for feed in (sent, recorded)]
    assert [link.get("href") for link in links if link is not None] == [
        "../test_topic?api-version=2017-04"
    ] * 2


def test_a_feed_of_subscriptions(namespace: SimulatedNamespace, recordings: Path) -> None:
    recorded = _recorded(recordings / "subscriptions_feed_one_v2021-05.xml")
    namespace.add_topic("dkoamv").add_subscription(
        "cxqplc",
        created="2021-10-21T05:21:59.4027056Z",
        updated="2021-10-21T05:21:59.4027056Z",
        accessed=dt.datetime(2021, 10, 21, 5, 21, 59, 403_000, tzinfo=dt.UTC),
    )
    sent = get(namespace, "/dkoamv/subscriptions?$skip=0&$top=100&api-version=2021-05").root
    assert _shape(sent) == _shape(recorded)
    assert _texts(next(sent.iter(f"{ATOM}content"))) == _texts(next(recorded.iter(f"{ATOM}content")))
    assert _texts(sent)[-1] == _texts(recorded)[-1]


def test_one_subscription(namespace: SimulatedNamespace, recordings: Path) -> None:
    recorded = _recorded(recordings / "subscription_entry_d3p1_v2021-05.xml")
    namespace.add_topic("topic-729").add_subscription("subscription-729")
    sent = get(namespace, "/topic-729/subscriptions/subscription-729?enrich=true&api-version=2021-05").root
    assert _shape(sent) == _shape(recorded)


def test_a_queue_of_a_premium_namespace(simulator: Simulator, recordings: Path) -> None:
    recorded = _recorded(recordings / "queue_entry_premium_v2021-05.xml")
    premium = simulator.add_namespace("servicebustestmstsf53wi2", sku="Premium")
    premium.add_queue(
        "iweidk",
        lock_duration="PT13S",
        max_size_megabytes=3072,
        requires_session=True,
        default_message_ttl="PT11M",
        dead_lettering_on_expiration=True,
        duplicate_detection_window="PT12M",
        max_delivery_count=14,
        auto_delete_on_idle="PT10M",
        max_message_size_kilobytes=12345,
        created=dt.datetime(2021, 9, 28, 19, 4, 11, 510_000, tzinfo=dt.UTC),
        updated=dt.datetime(2021, 9, 28, 19, 4, 12, 120_000, tzinfo=dt.UTC),
    )
    sent = get(premium, "/iweidk?enrich=false&api-version=2021-05").root
    assert _shape(sent) == _shape(recorded)
    apart = ("id",)  # it contains the host
    assert [pair for pair in _texts(sent) if pair[0] not in apart] == [
        pair for pair in _texts(recorded) if pair[0] not in apart
    ]


def test_a_queue_with_a_slash_and_without_counts(namespace: SimulatedNamespace, recordings: Path) -> None:
    recorded = _recorded(recordings / "queue_entry_put201_slash_name_no_CountDetails_v2017-04.xml")
    namespace.add_queue("txt/.-_123", has_counts=False)
    sent = get(namespace, "/txt%2F.-_123?api-version=2017-04").root
    accessed = "{http://schemas.microsoft.com/netservices/2010/10/servicebus/connect}AccessedAt"
    assert [part for part in _shape(sent) if part[1] != accessed] == _shape(recorded)
    identity = f"https://{namespace.host}/txt/.-_123?api-version=2017-04"
    assert sent.findtext(f"{ATOM}id") == identity
    assert sent.findtext(f"{ATOM}title") == recorded.findtext(f"{ATOM}title")


def test_a_next_link(namespace: SimulatedNamespace, recordings: Path) -> None:
    for number in range(3):
        namespace.add_queue(f"queue-{number}")
    recorded = _recorded(recordings / "feed_next_link_sdk_comment.xml")
    sent = get(namespace, "/$Resources/queues?$skip=0&$top=2&api-version=2017-04").root
    links = [[link.get("rel") for link in feed.findall(f"{ATOM}link")] for feed in (sent, recorded)]
    assert links[0] == links[1] == ["self", "next"]
    addresses = [feed.findall(f"{ATOM}link")[1].get("href", "").split("/", 3)[3] for feed in (sent, recorded)]
    assert addresses[0] == addresses[1]


def test_namespace_info_of_a_standard_namespace(namespace: SimulatedNamespace, recordings: Path) -> None:
    recorded = _recorded(recordings / "namespaceinfo_standard_v2017-04.xml")
    assert _shape(get(namespace, "/$namespaceinfo?api-version=2017-04").root) == _shape(recorded)


def test_namespace_info_of_a_premium_namespace(simulator: Simulator, recordings: Path) -> None:
    premium = simulator.add_namespace("premium", sku="Premium", alias="MyServiceBusFallback")
    recorded = _recorded(recordings / "namespaceinfo_premium_javatest_excerpt.xml")
    sent = get(premium, "/$namespaceinfo?api-version=2021-05").root
    descriptions = [_shape(next(entry.iter(f"{ATOM}content"))) for entry in (sent, recorded)]
    assert descriptions[0] == descriptions[1]


def test_what_does_not_exist(namespace: SimulatedNamespace, recordings: Path) -> None:
    recorded = _recorded(recordings / "notfound_200_publicly_listed_services.xml")
    sent = get(namespace, "/nothing?api-version=2021-05").root
    assert _shape(sent) == _shape(recorded)
    apart = ("updated",)
    assert [pair for pair in _texts(sent) if pair[0] not in apart] == [
        pair for pair in _texts(recorded) if pair[0] not in apart
    ]


def test_a_missing_subscription(namespace: SimulatedNamespace, recordings: Path) -> None:
    recorded = (recordings / "error_404_subscription.xml").read_text().strip()
    namespace.add_topic("topic-2")
    reply = get(namespace, "/topic-2/subscriptions/ca50d4c1e3?api-version=2021-05")
    assert reply.status == 404
    sent = reply.body.decode()
    start, _, rest = recorded.partition("TrackingId:")
    assert sent.startswith(start.replace("sb-java-conniey-sb4", "payments"))
    assert ", SystemTracker:NoSystemTracker, Timestamp:" in rest
    assert ", SystemTracker:NoSystemTracker, Timestamp:" in sent
