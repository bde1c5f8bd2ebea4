"""The exporter that users would write otherwise: the SDK's administration client, one request after another.

`python -m bench.baseline CONNECTION_STRING CA_FILE`: serves nothing; for each line on standard input, scrapes once and
writes one line of JSON with wall and CPU seconds, samples and bytes. This is the plain code that the SDK's
documentation leads to: list the entities' runtime properties, set newly created gauges, call generate_latest.
"""

import json
import sys
import time

from azure.servicebus.management import ServiceBusAdministrationClient
from prometheus_client import CollectorRegistry, Gauge, generate_latest

COUNTS = (
    "active_message_count",
    "dead_letter_message_count",
    "scheduled_message_count",
    "transfer_message_count",
    "transfer_dead_letter_message_count",
)
TOPIC_COUNTS = ("scheduled_message_count",)


def scrape(client: ServiceBusAdministrationClient) -> bytes:
    """Read every queue, topic and subscription once and return the exposition."""
    registry = CollectorRegistry()

    def gauges(kind: str, names: tuple[str, ...], labels: list[str]) -> dict[str, Gauge]:
        return {
            name: Gauge(f"servicebus_{kind}_{name}", f"{name} of a {kind}", labels, registry=registry)
            for name in names
        }

    queues = gauges("queue", (*COUNTS, "total_message_count", "size_in_bytes"), ["name"])
    topics = gauges("topic", (*TOPIC_COUNTS, "size_in_bytes", "subscription_count"), ["name"])
    subscriptions = gauges(
        "subscription", COUNTS[:2] + COUNTS[3:] + ("total_message_count",), ["name", "topic_name"]
    )
    for queue in client.list_queues_runtime_properties():
        for name, gauge in queues.items():
            gauge.labels(queue.name).set(getattr(queue, name) or 0)
    for topic in client.list_topics_runtime_properties():
        for name, gauge in topics.items():
            gauge.labels(topic.name).set(getattr(topic, name) or 0)
        for subscription in client.list_subscriptions_runtime_properties(topic.name):
            for name, gauge in subscriptions.items():
                gauge.labels(subscription.name, topic.name).set(getattr(subscription, name) or 0)
    return generate_latest(registry)


def main() -> None:
    connection_string, ca_file = sys.argv[1:3]
    client = ServiceBusAdministrationClient.from_connection_string(
        connection_string, connection_verify=ca_file
    )
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        body = scrape(client)
        print(
            json.dumps(
                {
                    "wall": time.perf_counter() - wall,
                    "cpu": time.process_time() - cpu,
                    "samples": sum(not line.startswith(b"#") for line in body.splitlines()),
                    "bytes": len(body),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
