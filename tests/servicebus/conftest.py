"""Reads of simulated namespaces, each on its own event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from exporters.servicebus.client import Client
from exporters.servicebus.connection import EndpointPolicy, parse_connection_string, parse_host
from exporters.servicebus.credentials import Credential, SharedKeyCredential
from exporters.servicebus.entities import Snapshot
from exporters.servicebus.errors import Reason
from exporters.servicebus.read_options import ReadOptions
from exporters.servicebus.reader import read_namespace
from simulator import SimulatedNamespace, Simulator


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Client]:
    client = Client(EndpointPolicy(allow_loopback=True), str(simulator.ca_file))
    yield client
    await client.close()
    await asyncio.sleep(0.1)  # TLS connections shut down on the loop


def reasons(snapshot: Snapshot) -> set[Reason]:
    """Return why parts of a read failed; empty if it was complete."""
    return {failure.reason for failure in snapshot.collectors.values() if failure}


ReadBus = Callable[..., Awaitable[Snapshot]]


@pytest.fixture
def read_bus(client: Client) -> ReadBus:
    """Read a simulated namespace with its own key, or with the given credential."""

    async def read(
        bus: SimulatedNamespace,
        *,
        credential: Credential | None = None,
        host: str | None = None,
        seconds: float = 20,
        **options: Any,
    ) -> Snapshot:
        if credential is None:
            connection = parse_connection_string(bus.connection_string)
            credential = SharedKeyCredential(connection.key_name, connection.key)
        source = ReadOptions(parse_host(host or bus.host), credential, **options)
        return await read_namespace(source, client, deadline=asyncio.get_running_loop().time() + seconds)

    return read
