"""`make run DEMO=0` with a hub.yaml for external endpoints, compared with the SDK's own numbers."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from azure.servicebus.management import ServiceBusAdministrationClient

from simulator import SimulatedNamespace, Simulator
from tests.support.run_command import Running, Samples, value

pytestmark = pytest.mark.e2e

TOKEN = "sbh_a-token-from-the-environment"
NAMES = ("varied", "queues-250", "queues-1000", "fan-out", "left", "right")
FOREVER = dt.timedelta(days=10_675_199)


@pytest.fixture(scope="module")
def buses(certificates: Path) -> Iterator[dict[str, SimulatedNamespace]]:
    simulator = Simulator(directory=certificates)
    with simulator.running():
        buses = {name: simulator.add_namespace(name, sku="Premium", messaging_units=4) for name in NAMES}
        fill_varied(buses["varied"])
        for number in range(1000):
            if number < 250:
                buses["queues-250"].add_queue(f"queue-{number}", active=number)
            buses["queues-1000"].add_queue(f"queue-{number}", active=number)
        topic = buses["fan-out"].add_topic("team/events")
        for number in range(120):
            topic.add_subscription(f"subscription-{number}", active=number)
        for name in ("left", "right"):
            for number in range(120):
                buses[name].add_queue(f"{name}-{number}")
                buses[name].add_topic(f"{name}-topic-{number}").add_subscription(f"{name}-subscription")
        yield buses


def fill_varied(bus: SimulatedNamespace) -> None:
    moment = dt.datetime(2024, 3, 1, 12, 30, 15, 250_000, tzinfo=dt.UTC)
    statuses = ("Active", "Disabled", "SendDisabled", "ReceiveDisabled")
    for number in range(110):
        common: dict[str, Any] = {
            "active": number,
            "dead_letter": 2 * number,
            "scheduled": number % 7,
            "transfer": number % 5,
            "transfer_dead_letter": number % 3,
            "created": moment + dt.timedelta(minutes=number),
            "updated": moment + dt.timedelta(hours=number),
            "accessed": None if number % 4 == 0 else moment + dt.timedelta(days=number),
            "default_message_ttl": None if number % 2 else dt.timedelta(days=number, seconds=1),
            "status": statuses[number % 4],
        }
        reading: dict[str, Any] = {
            "max_delivery_count": number + 1,
            "lock_duration": 5 + number,
            "requires_session": bool(number % 2),
        }
        size = {"size_bytes": 2**33 + number, "max_size_megabytes": 1024 * (1 + number % 5)}
        bus.add_queue(f"team & co/queue-{number}", **common, **reading, **size)
        topic = bus.add_topic(f"topic-{number}", **common, **size)
        for each in range(number % 4):
            topic.add_subscription(f"subscription-{each}", **common, **reading)


@pytest.fixture(scope="module")
def hub(buses: dict[str, SimulatedNamespace], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("hub")
    config = {
        "teams": [{"name": "payments"}],
        "credentials": [
            {"name": name, "team": "payments", "kind": "connection_string", "secret": {"env": variable(name)}}
            for name in NAMES
        ],
        "namespaces": [
            {
                "name": name,
                "team": "payments",
                "host": buses[name].own_host,
                "credential": name,
                "metrics": ["counts", "times", "state", "settings", "namespace", "info"],
                "limits": {"requests_per_second": 5000, "burst": 5000, "timeout_seconds": 60},
            }
            for name in NAMES
        ],
        "tokens": [
            {
                "name": "prometheus",
                "team": "payments",
                "scope": "team",
                "token": {"env": "PAYMENTS_SCRAPE_TOKEN"},
            }
        ],
    }
    (folder / "hub.yaml").write_text(yaml.safe_dump(config))
    variables = {
        "HUB_CONFIG": str(folder / "hub.yaml"),
        "HUB_CA_FILE": str(buses["left"].ca_file),
        "HUB_ALLOW_LOOPBACK": "1",
        "PAYMENTS_SCRAPE_TOKEN": TOKEN,
        # As the portal shows them: without the port, which comes from the namespace's host.
        **{variable(name): bus.own_connection_string for name, bus in buses.items()},
    }
    with Running(folder / "data", variables=variables) as hub:
        yield hub


def variable(name: str) -> str:
    return "CONNECTION_" + name.replace("-", "_").upper()


def of_metric(found: Samples, metric: str) -> dict[str, float]:
    return {dict(key[1])["name"]: number for key, number in found.items() if key[0] == metric}


@pytest.mark.parametrize("number", [250, 1000])
def test_all_queues_are_there_each_once(hub: Running, number: int) -> None:
    status, text = hub.get(f"/metrics/queues-{number}", TOKEN)
    assert status == 200
    lines = Counter(
        line.rpartition(" ")[0]
        for line in text.splitlines()
        if line.startswith("servicebus_queue_active_messages{")
    )
    assert set(lines.values()) == {1}
    found = of_metric(hub.scrape(f"queues-{number}", TOKEN), "servicebus_queue_active_messages")
    assert found == {f"queue-{each}": each for each in range(number)}


def test_all_120_subscriptions_of_a_topic_are_there(hub: Running) -> None:
    found = hub.scrape("fan-out", TOKEN)
    assert of_metric(found, "servicebus_subscription_active_messages") == {
        f"subscription-{each}": each for each in range(120)
    }
    assert value(found, "servicebus_entities", kind="subscription") == 120


def test_a_deleted_queue_is_gone_with_the_next_scrape(
    hub: Running, buses: dict[str, SimulatedNamespace]
) -> None:
    buses["left"].add_queue("left-short-lived", active=5)
    assert of_metric(hub.scrape("left", TOKEN), "servicebus_queue_active_messages")["left-short-lived"] == 5
    buses["left"].delete_queue("left-short-lived")
    assert not [key for key in hub.scrape("left", TOKEN) if ("name", "left-short-lived") in key[1]]


def test_scrapes_of_two_namespaces_at_once_never_mix(hub: Running) -> None:
    with ThreadPoolExecutor(6) as threads:
        names = ["left", "right"] * 6
        for name, found in zip(names, threads.map(lambda name: hub.scrape(name, TOKEN), names), strict=True):
            assert value(found, "servicebus_up") == 1
            entities = {
                label for key in found for label in key[1] if label[0] in {"name", "topic_name"} and label[1]
            }
            assert len(entities) == 120 + 2 * 120 + 1
            assert all(label.startswith(f"{name}-") for _, label in entities)


def timestamp(moment: dt.datetime) -> float | None:
    return None if moment.year == 1 else moment.timestamp()


def seconds(duration: dt.timedelta) -> float | None:
    return None if duration.days >= FOREVER.days else duration.total_seconds()


def spelt(status: str) -> str:
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in str(status))
    return words.strip("_")


def expected(kind: str, labels: dict[str, str], entity: Any, runtime: Any) -> Samples:
    """Return the series that correspond to the SDK's two objects of an entity."""
    values: dict[str, float | None] = {
        "created_timestamp_seconds": timestamp(runtime.created_at_utc),
        "updated_timestamp_seconds": timestamp(runtime.updated_at_utc),
        "accessed_timestamp_seconds": timestamp(runtime.accessed_at_utc),
        "default_message_ttl_seconds": seconds(entity.default_message_time_to_live),
    }
    counts = ("active", "dead_letter", "transfer", "transfer_dead_letter", "scheduled")
    for count in counts:
        attribute = f"{count}_message_count"
        if hasattr(runtime, attribute):
            values[f"{count}_messages"] = getattr(runtime, attribute)
    if hasattr(runtime, "size_in_bytes"):
        values["size_bytes"] = runtime.size_in_bytes
        values["max_size_bytes"] = entity.max_size_in_megabytes * 1_048_576
    if hasattr(runtime, "total_message_count"):
        values["messages"] = runtime.total_message_count
        values["max_deliveries"] = entity.max_delivery_count
        values["lock_duration_seconds"] = seconds(entity.lock_duration)
    if hasattr(runtime, "subscription_count"):
        values["subscriptions"] = runtime.subscription_count
    found = {
        (f"servicebus_{kind}_{name}", frozenset(labels.items())): float(number)
        for name, number in values.items()
        if number is not None
    }
    status = {**labels, "status": spelt(entity.status)}
    found[f"servicebus_{kind}_status", frozenset(status.items())] = 1.0
    return found


def test_every_number_is_the_sdks_for_every_entity_and_field(
    hub: Running, buses: dict[str, SimulatedNamespace]
) -> None:
    bus = buses["varied"]
    wanted: Samples = {}
    with ServiceBusAdministrationClient.from_connection_string(
        bus.own_connection_string, connection_verify=str(bus.ca_file)
    ) as sdk:
        for queue, runtime in zip(sdk.list_queues(), sdk.list_queues_runtime_properties(), strict=True):
            wanted |= expected("queue", {"name": queue.name}, queue, runtime)
        for topic, its_runtime in zip(sdk.list_topics(), sdk.list_topics_runtime_properties(), strict=True):
            wanted |= expected("topic", {"name": topic.name}, topic, its_runtime)
            pairs = zip(
                sdk.list_subscriptions(topic.name),
                sdk.list_subscriptions_runtime_properties(topic.name),
                strict=True,
            )
            for subscription, its in pairs:
                labels = {"name": subscription.name, "topic_name": topic.name}
                wanted |= expected("subscription", labels, subscription, its)
    found = hub.scrape("varied", TOKEN)
    assert len(wanted) > 4000
    assert {key: found.get(key) for key in wanted} == wanted
    # The only other series are those for which the SDK's objects have no field.
    others = {key[0] for key in found.keys() - wanted.keys() if key[0].count("_") > 1}
    of_entities = {name for name in others if name.startswith(("servicebus_queue_", "servicebus_topic_"))}
    of_entities |= {name for name in others if name.startswith("servicebus_subscription_")}
    assert of_entities == {
        "servicebus_queue_info",
        "servicebus_topic_info",
        "servicebus_subscription_info",
        *(f"servicebus_topic_{count}_messages" for count in ("active", "dead_letter")),
        *(f"servicebus_topic_{count}_messages" for count in ("transfer", "transfer_dead_letter")),
        "servicebus_subscription_scheduled_messages",
    }
