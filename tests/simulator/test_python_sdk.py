"""The simulator's fidelity, checked with the Python SDK's administration client, not written in this repository."""

import datetime as dt
from collections.abc import Iterator

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.servicebus.management import ApiVersion, ServiceBusAdministrationClient

from simulator import SimulatedNamespace

FOREVER = dt.timedelta.max
CREATED = dt.datetime(2024, 3, 1, 12, 30, 15, 250_000, tzinfo=dt.UTC)


@pytest.fixture(params=[version.value for version in ApiVersion])
def client(
    namespace: SimulatedNamespace, request: pytest.FixtureRequest
) -> Iterator[ServiceBusAdministrationClient]:
    with ServiceBusAdministrationClient.from_connection_string(
        namespace.own_connection_string,
        api_version=request.param,
        connection_verify=str(namespace.ca_file),
        retry_total=0,
    ) as client:
        yield client


def test_the_sdk_lists_every_queue_with_its_values(
    namespace: SimulatedNamespace, client: ServiceBusAdministrationClient
) -> None:
    for number in range(205):
        namespace.add_queue(
            f"team/queue-{number}",
            active=number,
            dead_letter=2 * number,
            scheduled=3,
            transfer=4,
            transfer_dead_letter=5,
            size_bytes=2**33 + number,
            created=CREATED,
            updated=CREATED,
            accessed=None if number % 2 else CREATED,
        )
    runtime = {queue.name: queue for queue in client.list_queues_runtime_properties()}
    assert len(runtime) == 205
    for name, queue in runtime.items():
        simulated = namespace.queues[name]
        assert queue.active_message_count == simulated.active
        assert queue.dead_letter_message_count == simulated.dead_letter
        assert queue.scheduled_message_count == simulated.scheduled
        assert queue.transfer_message_count == simulated.transfer
        assert queue.transfer_dead_letter_message_count == simulated.transfer_dead_letter
        assert queue.total_message_count == simulated.total
        assert queue.size_in_bytes == simulated.size_bytes
        assert queue.created_at_utc == queue.updated_at_utc == CREATED
        assert queue.accessed_at_utc == (simulated.accessed or dt.datetime(1, 1, 1, tzinfo=dt.UTC))


def test_the_sdk_reads_every_setting_of_a_queue(
    namespace: SimulatedNamespace, client: ServiceBusAdministrationClient
) -> None:
    namespace.add_queue(
        "orders",
        status="ReceiveDisabled",
        lock_duration=13,
        max_size_megabytes=2048,
        partitioned=True,
        requires_session=True,
        requires_duplicate_detection=True,
        duplicate_detection_window="PT12M",
        default_message_ttl=dt.timedelta(days=14),
        dead_lettering_on_expiration=True,
        max_delivery_count=7,
        enable_batched_operations=False,
        auto_delete_on_idle="PT10M",
        forward_to="archive",
        forward_dead_lettered_to="graveyard",
        user_metadata="owner: <payments> & co",
        express=True,
    )
    namespace.add_key("sender", {"Send", "Listen"}, entity_path="orders", key="a2V5")
    (queue,) = client.list_queues()
    assert queue.name == "orders"
    assert queue.status == "ReceiveDisabled"
    assert queue.lock_duration == dt.timedelta(seconds=13)
    assert queue.max_size_in_megabytes == 2048 * 16
    assert queue.enable_partitioning is True
    assert queue.requires_session is True
    assert queue.requires_duplicate_detection is True
    assert queue.duplicate_detection_history_time_window == dt.timedelta(minutes=12)
    assert queue.default_message_time_to_live == dt.timedelta(days=14)
    assert queue.dead_lettering_on_message_expiration is True
    assert queue.max_delivery_count == 7
    assert queue.enable_batched_operations is False
    assert queue.auto_delete_on_idle == dt.timedelta(minutes=10)
    assert queue.forward_to == f"sb://{namespace.own_host}/archive"
    assert queue.forward_dead_lettered_messages_to == f"sb://{namespace.own_host}/graveyard"
    assert queue.user_metadata == "owner: <payments> & co"
    assert queue.enable_express is True
    (rule,) = queue.authorization_rules
    assert (rule.key_name, rule.primary_key, rule.type) == ("sender", "a2V5", "SharedAccessAuthorizationRule")
    assert sorted(rule.rights) == ["Listen", "Send"]
    assert client.get_queue("orders").max_delivery_count == 7


def test_the_sdk_lists_every_topic_and_subscription(
    namespace: SimulatedNamespace, client: ServiceBusAdministrationClient
) -> None:
    for number in range(3):
        topic = namespace.add_topic(
            f"team/topic-{number}", size_bytes=number, scheduled=7, status="SendDisabled"
        )
        for member in range(120 if number == 1 else number):
            topic.add_subscription(
                f"subscription-{member}", active=member, dead_letter=number, created=CREATED
            )
    topics = {topic.name: topic for topic in client.list_topics_runtime_properties()}
    assert sorted(topics) == ["team/topic-0", "team/topic-1", "team/topic-2"]
    for name, topic in topics.items():
        simulated = namespace.topics[name]
        assert topic.subscription_count == len(simulated.subscriptions)
        assert topic.size_in_bytes == simulated.size_bytes
        assert topic.scheduled_message_count == 7
        found = {member.name: member for member in client.list_subscriptions_runtime_properties(name)}
        assert sorted(found) == list(simulated.subscriptions)
        for member in found.values():
            subscription = simulated.subscriptions[member.name]
            assert member.active_message_count == subscription.active
            assert member.dead_letter_message_count == subscription.dead_letter
            assert member.total_message_count == subscription.total
            assert member.created_at_utc == CREATED
    settings = list(client.list_topics())
    assert {topic.status for topic in settings} == {"SendDisabled"}
    (first, *_) = client.list_subscriptions("team/topic-2")
    assert first.lock_duration == dt.timedelta(minutes=1)
    assert first.max_delivery_count == 10
    assert client.get_subscription("team/topic-2", "subscription-1").name == "subscription-1"


def test_the_sdk_reads_the_namespaces_properties(
    namespace: SimulatedNamespace, client: ServiceBusAdministrationClient
) -> None:
    properties = client.get_namespace_properties()
    assert (properties.name, properties.messaging_sku, properties.messaging_units) == (
        "payments",
        "Standard",
        None,
    )


def test_the_sdk_finds_nothing_where_nothing_is(client: ServiceBusAdministrationClient) -> None:
    with pytest.raises(ResourceNotFoundError):
        client.get_queue("nothing")
    with pytest.raises(ResourceNotFoundError):
        list(client.list_subscriptions("nothing"))


def test_the_sdk_is_refused_with_a_wrong_key(namespace: SimulatedNamespace) -> None:
    connection_string = namespace.own_connection_string.replace(namespace.key, "d3Jvbmc=")
    with (
        ServiceBusAdministrationClient.from_connection_string(
            connection_string, connection_verify=str(namespace.ca_file)
        ) as client,
        pytest.raises(ClientAuthenticationError, match="claim is empty"),
    ):
        list(client.list_queues())


def test_the_sdk_gives_up_on_a_throttled_namespace(
    namespace: SimulatedNamespace, client: ServiceBusAdministrationClient
) -> None:
    namespace.faults.set("throttle", times=1)
    with pytest.raises(HttpResponseError, match="being throttled"):
        list(client.list_queues())
    assert list(client.list_queues()) == []
