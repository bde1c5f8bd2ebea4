import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from simulator import SimulatedNamespace, Simulator
from simulator.control import open_control

from .asking import get, plain

LISTING = "/$Resources/queues?api-version=2021-05"
Call = Callable[..., Any]


@pytest.fixture
def call(simulator: Simulator, namespace: SimulatedNamespace) -> Call:
    url = open_control(simulator)

    def call(method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answered, result = plain(method, url + path, body)
        assert answered == status, result
        return result

    return call


def test_entities_are_added_changed_and_removed(call: Call, namespace: SimulatedNamespace) -> None:
    call("PUT", "/namespaces/payments/queues/team%2Forders", {"active": 3})
    assert get(namespace, LISTING).value("ActiveMessageCount") == "3"
    call("PUT", "/namespaces/payments/queues/team%2Forders", {"active": 4})
    assert get(namespace, LISTING).value("ActiveMessageCount") == "4"
    call("PUT", "/namespaces/payments/topics/events")
    call("PUT", "/namespaces/payments/topics/events/subscriptions/billing", {"dead_letter": 1})
    assert get(namespace, "/events/subscriptions").titles == ["billing"]
    call("DELETE", "/namespaces/payments/queues/team%2Forders")
    assert get(namespace, LISTING).titles == []
    shown = call("DELETE", "/namespaces/payments/topics/events/subscriptions/billing")
    assert (shown["queues"], shown["topics"], shown["subscriptions"]) == (0, 1, 0)


def test_counters_are_read_and_reset(call: Call, namespace: SimulatedNamespace) -> None:
    get(namespace, LISTING)
    get(namespace, LISTING, authorization=None)
    requests = call("GET", "/namespaces/payments")["requests"]
    assert requests == {"total": 2, "by_status": {"200": 1, "401": 1}, "in_flight": 0, "most_in_flight": 1}
    call("DELETE", "/namespaces/payments/requests")
    assert call("GET", "/")["namespaces"]["payments"]["requests"]["total"] == 0


def test_the_connections_of_clients_are_ended_and_those_of_scripts_are_not(
    call: Call, simulator: Simulator, namespace: SimulatedNamespace
) -> None:
    context = ssl.create_default_context(cafile=str(simulator.ca_file))
    with (
        socket.create_connection(("127.0.0.1", simulator.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=namespace.host.partition(":")[0]) as client,
    ):
        call("DELETE", "/connections")
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert call("GET", "/")["namespaces"]


def test_faults_and_latency_are_set_and_cleared(call: Call, namespace: SimulatedNamespace) -> None:
    (fault,) = call("POST", "/namespaces/payments/faults", {"kind": "throttle", "retry_after": 2})["faults"]
    assert (fault["kind"], fault["retry_after"], fault["hits"]) == ("throttle", 2, 0)
    assert get(namespace, LISTING).status == 429
    assert call("DELETE", "/namespaces/payments/faults/throttle")["faults"] == []
    assert get(namespace, LISTING).status == 200
    call("PATCH", "/namespaces/payments", {"latency": 0.01, "sku": "Premium", "messaging_units": 2})
    assert get(namespace, "/$namespaceinfo").value("MessagingUnits") == "2"


def test_a_namespace_is_added_and_refuses_connections(call: Call, simulator: Simulator) -> None:
    entry = {"name": "added", "own_port": True, "generate": {"queues": 3}, "faults": [{"kind": "refuse"}]}
    shown = call("POST", "/namespaces", entry)
    added = simulator.namespaces["added"]
    assert shown["own_host"] == added.own_host
    assert shown["own_connection_string"] == added.own_connection_string
    with pytest.raises(ConnectionRefusedError):
        get(added, LISTING, host=added.own_host)
    call("DELETE", "/namespaces/added/faults")
    assert len(get(added, LISTING, host=added.own_host).titles) == 3
    host = added.own_host
    call("DELETE", "/namespaces/added")
    with pytest.raises(ConnectionRefusedError):
        get(added, LISTING, host=host)


def test_the_credit_rule_is_enforced_and_lifted(call: Call, namespace: SimulatedNamespace) -> None:
    shown = call("POST", "/namespaces/payments/credits", {"sender_rate": 600, "per_second": 5})
    assert shown["credits"]["enforced"] is True
    assert get(namespace, LISTING).status == 429
    credits = call("DELETE", "/namespaces/payments/credits")["credits"]
    assert credits["enforced"] is False
    assert credits["management_throttled"] == 1


def test_the_identity_is_read_and_broken(call: Call, simulator: Simulator) -> None:
    assert call("GET", "/identity")["authority"] == simulator.identity.authority
    (fault,) = call("POST", "/identity/faults", {"kind": "unavailable"})
    assert fault["status"] == 503
    assert call("DELETE", "/identity/faults") == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/namespaces/nobody", None, 404, "there is no 'nobody'"),
        ("GET", "/nothing", None, 404, "there is no 'GET /nothing'"),
        ("DELETE", "/namespaces/payments/queues/nothing", None, 404, "there is no 'nothing'"),
        ("PUT", "/namespaces/payments/queues/orders", {"actve": 1}, 400, "actve"),
        ("POST", "/namespaces/payments/faults", {"kind": "boom"}, 400, "unknown fault 'boom'"),
        ("PATCH", "/namespaces/payments", {"name": "x"}, 400, "changeable are latency"),
        ("POST", "/namespaces", {"sku": "Basic"}, 400, "needs a name"),
    ],
)
def test_a_mistake_is_explained(
    call: Call, method: str, path: str, body: Any, status: int, message: str
) -> None:
    assert message in call(method, path, body, status=status)["error"]
