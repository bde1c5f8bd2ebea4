"""Shared access keys and signatures, against the simulator's endpoints."""

import pytest

from exporters.servicebus.client import Client
from exporters.servicebus.connection import Endpoint, parse_connection_string, parse_host
from exporters.servicebus.credentials import SharedAccessSignatureCredential, SharedKeyCredential
from exporters.servicebus.errors import Reason, ServiceBusError
from simulator import SimulatedNamespace

from .conftest import ReadBus, reasons


async def test_a_shared_key_opens_the_namespace(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    assert not reasons(await read_bus(bus, credential=SharedKeyCredential(bus.key_name, bus.key)))


async def test_a_wrong_key_is_unauthorized(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    snapshot = await read_bus(bus, credential=SharedKeyCredential(bus.key_name, "d3Jvbmc="))
    assert reasons(snapshot) == {Reason.UNAUTHORIZED}


async def test_a_key_without_manage_is_unauthorized(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    listen = parse_connection_string(bus.add_key("listen", {"Listen"}))
    assert reasons(await read_bus(bus, credential=SharedKeyCredential(listen.key_name, listen.key))) == {
        Reason.UNAUTHORIZED
    }


async def test_one_signature_serves_a_namespace_until_it_is_about_to_expire() -> None:
    now = 1_900_000_000.0
    credential = SharedKeyCredential("Root", "a2V5", clock=lambda: now)
    endpoint = Endpoint("a.servicebus.windows.net")
    first = await credential.authorization(endpoint)
    now += 3200
    assert await credential.authorization(endpoint) == first
    now += 200
    assert await credential.authorization(endpoint) != first
    assert await credential.authorization(Endpoint("b.servicebus.windows.net")) != first


async def test_a_ready_made_signature_opens_the_namespace(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    token = bus.shared_access_signature()
    assert not reasons(await read_bus(bus, credential=SharedAccessSignatureCredential(token)))


async def test_an_expired_signature_is_a_credential_failure_that_costs_no_request(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    token = bus.shared_access_signature(lifetime=-60)
    snapshot = await read_bus(bus, credential=SharedAccessSignatureCredential(token))
    assert reasons(snapshot) == {Reason.CREDENTIAL}
    assert bus.requests.total == 0


@pytest.mark.parametrize("entity", ["team/invoices", "events"])
async def test_an_entitys_own_key_reads_that_entity_alone(
    bus: SimulatedNamespace, read_bus: ReadBus, entity: str
) -> None:
    connection = parse_connection_string(bus.add_key("own", entity_path=entity))
    assert connection.entity_path == entity
    credential = SharedKeyCredential(connection.key_name, connection.key, connection.entity_path)
    snapshot = await read_bus(bus, credential=credential, entity_path=connection.entity_path)
    assert not reasons(snapshot)
    assert [each.name for each in (*snapshot.queues, *snapshot.topics)] == [entity]
    assert len(snapshot.subscriptions) == (2 if entity == "events" else 0)
    assert set(snapshot.collectors) == ({"queues"} if entity != "events" else {"topics", "subscriptions"})


async def test_the_entity_of_a_connection_string_that_does_not_exist_is_not_found(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    assert reasons(await read_bus(bus, entity_path="nowhere")) == {Reason.NOT_FOUND}


async def test_the_local_emulator_is_read_over_plain_http(client: Client) -> None:
    # Nothing listens there: it only matters that the hub connects there, and over http.
    endpoint = parse_connection_string(
        "Endpoint=sb://localhost:1;SharedAccessKeyName=R;SharedAccessKey=x;UseDevelopmentEmulator=true"
    ).endpoint
    assert endpoint.base_url == "http://localhost:1"
    with pytest.raises(ServiceBusError) as raised:
        await client.get(endpoint, "/$Resources/queues", "x")
    assert raised.value.reason is Reason.CONNECTION
    assert parse_host("localhost:1").base_url == "https://localhost:1"
