"""The simulator's fidelity, checked with npm's @azure/service-bus, the other client not written in this repository."""

import datetime as dt
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from simulator import SimulatedNamespace
from tests.support import programs

# One worker runs these, because they share the folder that npm installs into.
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("npm")]
FOLDER = Path(__file__).parent / "npm"
CREATED = dt.datetime(2024, 3, 1, 12, 30, 15, 250_000, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def node() -> str:
    """Return the path of node, after installing the packages in the lock file."""
    program = programs.require("node")
    programs.install_npm_packages(FOLDER)
    return program


def _list(node: str, namespace: SimulatedNamespace, **changed: str) -> Any:
    environment = {
        **os.environ,
        "NODE_EXTRA_CA_CERTS": str(namespace.ca_file),
        "SERVICE_BUS_CONNECTION_STRING": namespace.own_connection_string,
        **changed,
    }
    command = [node, "list.mjs"]
    done = subprocess.run(
        command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def _counts(entity: Any) -> dict[str, int]:
    return {
        "activeMessageCount": entity.active,
        "deadLetterMessageCount": entity.dead_letter,
        "transferMessageCount": entity.transfer,
        "transferDeadLetterMessageCount": entity.transfer_dead_letter,
        "totalMessageCount": entity.total,
    }


def test_the_sdk_lists_every_entity_with_its_values(node: str, namespace: SimulatedNamespace) -> None:
    for number in range(130):
        namespace.add_queue(
            f"team/queue-{number}",
            active=number,
            dead_letter=2 * number,
            scheduled=3,
            transfer=4,
            transfer_dead_letter=5,
            size_bytes=2**33 + number,
            created=CREATED,
            accessed=None if number % 2 else CREATED,
            max_delivery_count=number + 1,
            partitioned=number == 7,
            forward_to="archive" if number == 8 else None,
            user_metadata="owner: <payments> & co",
        )
    for number in range(3):
        topic = namespace.add_topic(f"team/topic-{number}", size_bytes=number, scheduled=7)
        for member in range(110 if number == 1 else number):
            topic.add_subscription(f"subscription-{member}", active=2**40 + member, dead_letter=number)
    found = _list(node, namespace)

    assert found["namespace"]["messagingSku"] == "Standard"
    queues = {queue["name"]: queue for queue in found["queues"]}
    assert list(queues) == list(namespace.queues)
    for name, queue in queues.items():
        simulated = namespace.queues[name]
        assert queue.items() >= _counts(simulated).items()
        assert queue["sizeInBytes"] == simulated.size_bytes
        assert queue["scheduledMessageCount"] == 3
        assert queue["createdAt"] == "2024-03-01T12:30:15.250Z"
        never = "0001-01-01T00:00:00.000Z"
        assert queue["accessedAt"] == (never if simulated.accessed is None else "2024-03-01T12:30:15.250Z")
    settings = {queue["name"]: queue for queue in found["queueSettings"]}
    assert settings["team/queue-7"]["maxSizeInMegabytes"] == 16384
    assert settings["team/queue-8"]["forwardTo"] == f"sb://{namespace.own_host}/archive"
    assert settings["team/queue-9"]["maxDeliveryCount"] == 10
    assert settings["team/queue-9"]["userMetadata"] == "owner: <payments> & co"

    topics = {topic["name"]: topic for topic in found["topics"]}
    assert list(topics) == list(namespace.topics)
    for name, topic in topics.items():
        assert topic["subscriptionCount"] == len(namespace.topics[name].subscriptions)
        assert topic["scheduledMessageCount"] == 7
        members = {member["subscriptionName"]: member for member in found["subscriptions"][name]}
        assert list(members) == list(namespace.topics[name].subscriptions)
        for member_name, member in members.items():
            assert member["topicName"] == name
            assert member.items() >= _counts(namespace.topics[name].subscriptions[member_name]).items()
    assert namespace.requests.by_status.keys() == {200}


def test_the_sdk_is_refused_with_a_wrong_key(node: str, namespace: SimulatedNamespace) -> None:
    wrong = namespace.own_connection_string.replace(namespace.key, "d3Jvbmc=")
    with pytest.raises(RuntimeError, match="claim is empty"):
        _list(node, namespace, SERVICE_BUS_CONNECTION_STRING=wrong)
