import datetime as dt
import threading
from urllib.parse import unquote

import pytest

from simulator import SimulatedNamespace, Simulator

from .asking import CONNECT, connection, get, listing


def test_a_thousand_queues_come_in_pages_of_a_hundred_each_once(namespace: SimulatedNamespace) -> None:
    for number in range(1000):
        namespace.add_queue(f"queue-{number}")
    titles = listing(namespace, "/$Resources/queues")
    assert len(titles) == 1000
    assert titles == sorted(f"queue-{number}" for number in range(1000))
    assert namespace.requests.total == 10


def test_a_page_holds_a_hundred_entities_however_many_are_asked_for(namespace: SimulatedNamespace) -> None:
    for number in range(101):
        namespace.add_queue(f"queue-{number}")
    page = get(namespace, "/$Resources/queues?api-version=2021-05&$skip=0&$top=500")
    assert len(page.titles) == 100
    assert page.next_link is not None
    assert page.next_link.endswith("/$Resources/queues?%24skip=100&%24top=100&api-version=2021-05")


def test_the_next_link_leads_to_the_rest(namespace: SimulatedNamespace) -> None:
    for number in range(5):
        namespace.add_queue(f"queue-{number}")
    first = get(namespace, "/$Resources/queues?api-version=2017-04&$skip=0&$top=2")
    assert first.titles == ["queue-0", "queue-1"]
    assert first.next_link is not None
    second = get(namespace, "/" + first.next_link.split("/", 3)[3])
    assert second.titles == ["queue-2", "queue-3"]
    last = get(namespace, "/$Resources/queues?api-version=2017-04&%24skip=4&%24top=2")
    assert last.titles == ["queue-4"]
    assert last.next_link is None


@pytest.mark.parametrize(
    ("skip", "top"), [(0, 100), (99, 100), (1, 7), (149, 100), (150, 100), (10**9, 1), (3, 999)]
)
def test_a_page_begins_and_ends_wherever_it_is_asked_to(
    namespace: SimulatedNamespace, skip: int, top: int
) -> None:
    for number in range(150):
        namespace.add_queue(f"queue-{number:03}")
    page = get(namespace, f"/$Resources/queues?api-version=2021-05&$skip={skip}&$top={top}")
    end = skip + min(top, 100)
    assert page.titles == [f"queue-{number:03}" for number in range(150)][skip:end]
    assert (page.next_link is not None) == (end < 150)


@pytest.mark.parametrize("path", ["/$Resources/queues", "/$Resources/Queues", "/%24Resources/queues"])
def test_clients_may_spell_the_listing_of_queues_in_their_own_way(
    namespace: SimulatedNamespace, path: str
) -> None:
    namespace.add_queue("orders")
    assert get(namespace, f"{path}?api-version=2021-05").titles == ["orders"]


@pytest.mark.parametrize(
    "path",
    [
        "/team%2Fevents/subscriptions",
        "/team/events/subscriptions",
        "/team%2fevents/Subscriptions",
        "/Team/Events/subscriptions/",
    ],
)
def test_a_topic_with_a_slash_in_its_name_is_found_in_every_spelling(
    namespace: SimulatedNamespace, path: str
) -> None:
    namespace.add_topic("team/events").add_subscription("billing")
    reply = get(namespace, f"{path}?api-version=2021-05")
    assert reply.titles == ["billing"]
    # The id repeats the client's spelling; the JavaScript SDK relies on this.
    assert f"<id>https://{namespace.host}{unquote(path).rstrip('/')}/billing?" in reply.body.decode()


def test_single_entities_are_answered_as_entries(namespace: SimulatedNamespace) -> None:
    namespace.add_queue("team/orders", active=3)
    namespace.add_topic("events").add_subscription("billing", active=5)
    queue = get(namespace, "/team%2Forders?enrich=false&api-version=2021-05")
    assert queue.value("ActiveMessageCount") == "3"
    assert queue.headers["Content-Type"] == "application/atom+xml;type=entry;charset=utf-8"
    assert get(namespace, "/events?api-version=2021-05").value("SubscriptionCount") == "1"
    subscription = get(namespace, "/events/subscriptions/billing?api-version=2021-05")
    assert subscription.value("ActiveMessageCount") == "5"


def test_a_queue_that_does_not_exist_is_answered_200_with_another_feed(namespace: SimulatedNamespace) -> None:
    reply = get(namespace, "/nothing?api-version=2021-05")
    assert reply.status == 200
    assert reply.value("title") == "Publicly Listed Services"


def test_the_subscriptions_of_a_missing_topic_are_answered_404(namespace: SimulatedNamespace) -> None:
    reply = get(namespace, "/nothing/subscriptions?api-version=2021-05")
    assert reply.status == 404
    assert "Entity 'payments:Topic:nothing' was not found." in (reply.value("Detail") or "")


def test_a_change_is_visible_with_the_next_request(namespace: SimulatedNamespace) -> None:
    queue = namespace.add_queue("orders", active=1)
    topic = namespace.add_topic("events")
    path = "/$Resources/queues?api-version=2021-05"
    assert get(namespace, path).value("ActiveMessageCount") == "1"
    queue.active = 2
    assert get(namespace, path).value("ActiveMessageCount") == "2"
    namespace.queues["orders"].update(active=9, dead_letter=4)
    reply = get(namespace, path)
    assert (reply.value("ActiveMessageCount"), reply.value("MessageCount")) == ("9", "13")
    namespace.delete_queue("orders")
    assert get(namespace, path).titles == []
    assert get(namespace, "/$Resources/topics?api-version=2021-05").value("SubscriptionCount") == "0"
    topic.add_subscription("billing")
    assert get(namespace, "/$Resources/topics?api-version=2021-05").value("SubscriptionCount") == "1"


def test_several_counts_change_together_or_not_at_all(namespace: SimulatedNamespace) -> None:
    queue = namespace.add_queue("orders", active=0, dead_letter=0)
    done = threading.Event()

    def change() -> None:
        number = 0
        while not done.is_set():
            number += 1
            queue.update(active=number, dead_letter=number)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(50):
            reply = get(namespace, "/$Resources/queues?api-version=2021-05")
            assert reply.value("ActiveMessageCount") == reply.value("DeadLetterMessageCount")
    finally:
        done.set()
        changer.join()


def test_values_are_written_as_the_service_writes_them(namespace: SimulatedNamespace) -> None:
    namespace.add_queue(
        "orders",
        active=2**40,
        size_bytes=2**33,
        partitioned=True,
        max_size_megabytes=5120,
        created=dt.datetime(2021, 9, 28, 19, 4, 11, 510_000, tzinfo=dt.UTC),
        accessed=None,
        lock_duration=13,
        default_message_ttl=dt.timedelta(minutes=11),
        forward_to="archive",
        user_metadata="a < b & c",
    )
    reply = get(namespace, "/$Resources/queues?api-version=2021-05")
    assert reply.value("ActiveMessageCount") == str(2**40)
    assert reply.value("SizeInBytes") == str(2**33)
    assert reply.value("MaxSizeInMegabytes") == str(5120 * 16)
    assert reply.value("CreatedAt") == "2021-09-28T19:04:11.51Z"
    assert reply.value("AccessedAt") == "0001-01-01T00:00:00Z"
    assert reply.value("LockDuration") == "PT13S"
    assert reply.value("DefaultMessageTimeToLive") == "PT660S"
    assert reply.value("ForwardTo") == f"sb://{namespace.host}/archive"
    assert reply.value("UserMetadata") == "a < b & c"


def test_counts_can_be_missing_for_one_entity(namespace: SimulatedNamespace) -> None:
    namespace.add_queue("orders", active=3, has_counts=False)
    reply = get(namespace, "/$Resources/queues?api-version=2021-05")
    assert reply.titles == ["orders"]
    assert reply.value("CountDetails") is None


def test_an_entitys_own_keys_are_in_its_description(namespace: SimulatedNamespace) -> None:
    namespace.add_queue("orders")
    namespace.add_key("sender", {"Send"}, entity_path="orders", key="not-so-secret")
    rules = get(namespace, "/$Resources/queues?api-version=2021-05").root.iter(f"{CONNECT}AuthorizationRule")
    assert [rule.findtext(f"{CONNECT}PrimaryKey") for rule in rules] == ["not-so-secret"]


def test_namespace_info_tells_the_sku(simulator: Simulator, namespace: SimulatedNamespace) -> None:
    standard = get(namespace, "/$namespaceinfo?api-version=2021-05")
    assert (standard.value("MessagingSKU"), standard.value("MessagingUnits")) == ("Standard", None)
    large = simulator.add_namespace("large", sku="Premium", messaging_units=4, alias="fallback")
    premium = get(large, "/$namespaceinfo?api-version=2021-05")
    assert (premium.value("MessagingSKU"), premium.value("MessagingUnits")) == ("Premium", "4")
    assert (premium.value("Name"), premium.value("Alias")) == ("large", "fallback")


@pytest.mark.parametrize("query", ["api-version=1999-01", "api-version=2021-05&$skip=-1", "$top=many"])
def test_a_wrong_query_is_answered_400(namespace: SimulatedNamespace, query: str) -> None:
    assert get(namespace, f"/$Resources/queues?{query}").status == 400


def test_without_an_api_version_there_are_no_counts(namespace: SimulatedNamespace) -> None:
    namespace.add_queue("orders", active=3)
    reply = get(namespace, "/$Resources/queues")
    assert (reply.titles, reply.value("CountDetails"), reply.value("AccessedAt")) == (["orders"], None, None)


def test_the_host_name_chooses_the_namespace(simulator: Simulator, namespace: SimulatedNamespace) -> None:
    other = simulator.add_namespace("other")
    namespace.add_queue("orders")
    other.add_queue("invoices")
    path = "/$Resources/queues?api-version=2021-05"
    cloud_name = f"other.servicebus.windows.net:{simulator.port}"
    assert get(namespace, path).titles == ["orders"]
    assert get(other, path).titles == ["invoices"]
    assert get(other, path, host=cloud_name).titles == ["invoices"]
    assert get(namespace, path, host=f"localhost:{simulator.port}").titles == ["orders"]
    assert get(other, path, host=other.own_host).titles == ["invoices"]
    missing = get(other, path, host=f"nobody.servicebus.localhost:{simulator.port}")
    assert missing.status == 404


def test_a_simulator_keeps_connections_alive_and_counts_handshakes(namespace: SimulatedNamespace) -> None:
    headers = {"Authorization": namespace.shared_access_signature()}
    with connection(namespace) as opened:
        for _ in range(3):
            opened.request("GET", "/$namespaceinfo?api-version=2021-05", headers=headers)
            assert opened.getresponse().read()
    assert (namespace.requests.total, namespace.handshakes) == (3, 1)


def test_names_are_taken_once_and_in_any_case(simulator: Simulator, namespace: SimulatedNamespace) -> None:
    namespace.add_queue("orders")
    with pytest.raises(ValueError, match="already"):
        namespace.add_topic("Orders")
    with pytest.raises(ValueError, match="one label"):
        simulator.add_namespace("Payments")
    with pytest.raises(ValueError, match="changeable"):
        namespace.queues["orders"].update(actve=3)


def test_two_simulators_run_side_by_side(certificates: str, namespace: SimulatedNamespace) -> None:
    with Simulator(directory=certificates).running() as second:
        other = second.add_namespace("payments")
        other.add_queue("elsewhere")
        namespace.add_queue("here")
        path = "/$Resources/queues?api-version=2021-05"
        assert (get(namespace, path).titles, get(other, path).titles) == (["here"], ["elsewhere"])


def test_only_reading_is_possible(namespace: SimulatedNamespace) -> None:
    assert get(namespace, "/orders?api-version=2021-05", method="DELETE").status == 405
