"""A name that moves to another address, such as an alias on failover, is followed within the DNS time.

A kept connection is also not used after another one went silent.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from exporters.servicebus import names
from exporters.servicebus.client import Client
from exporters.servicebus.connection import Endpoint, EndpointPolicy
from exporters.servicebus.errors import Reason, ServiceBusError
from simulator.certificates import CertificateStore
from tests.support import hostile

from .raw import context_for, serving

NAME = "alias.servicebus.windows.net"
DNS_SECONDS = 0.3
OLD, NEW = "127.0.0.1", "127.0.0.2"


class Place:
    """Two servers on one port at two addresses, and a name server that determines where the name leads."""

    def __init__(self) -> None:
        self.leads_to = OLD
        self.status = {OLD: 200, NEW: 200}
        self.asked: list[str] = []
        self.connections = {OLD: 0, NEW: 0}
        self.look_ups = 0
        self.silent = False
        self.go = threading.Event()
        self.go.set()
        self.port = 0

    def look_up(self, host: str, *arguments: Any, **options: Any) -> list[Any]:
        self.look_ups += 1
        self.go.wait(30)
        if not self.leads_to:
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.leads_to, 0))]

    def served_by(self, address: str) -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections[address] += 1
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.asked.append(address)
                if self.silent:
                    continue
                writer.write(hostile.answered(address.encode(), f"{self.status[address]} Said"))
                await writer.drain()

        return serve


@pytest.fixture
async def place(certificates: Path, tmp_path: Path) -> AsyncIterator[Place]:
    place = Place()
    context = context_for(certificates, tmp_path, NAME)
    async with AsyncExitStack() as stack:
        place.port = await stack.enter_async_context(serving(place.served_by(OLD), context, OLD))
        await stack.enter_async_context(serving(place.served_by(NEW), context, NEW, place.port))
        yield place
        place.go.set()


@pytest.fixture
async def client(place: Place, certificates: Path) -> AsyncIterator[Client]:
    client = Client(
        EndpointPolicy(allow_loopback=True),
        str(CertificateStore(certificates).ca_file),
        look_up=place.look_up,
        dns_seconds=DNS_SECONDS,
    )
    yield client
    place.go.set()
    await client.close()
    await asyncio.sleep(0.1)


async def ask(client: Client, place: Place) -> str | Reason:
    try:
        return (await client.get(Endpoint(NAME, place.port), "/a", "none")).decode()
    except ServiceBusError as error:
        return error.reason


async def test_a_name_that_moves_is_followed_although_the_old_host_goes_on_answering(
    client: Client, place: Place
) -> None:
    assert await asyncio.gather(*(ask(client, place) for _ in range(5))) == [OLD] * 5
    place.leads_to = NEW
    await asyncio.sleep(DNS_SECONDS)
    assert await asyncio.gather(*(ask(client, place) for _ in range(5))) == [NEW] * 5
    assert place.look_ups == 2


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.UNAUTHORIZED),
        (403, Reason.FORBIDDEN),
        (404, Reason.NOT_FOUND),
        (410, Reason.NOT_FOUND),
        (421, Reason.MALFORMED),
        (500, Reason.SERVER_ERROR),
    ],
)
async def test_a_refused_connection_is_closed_and_the_name_resolved_again_in_time(
    client: Client, place: Place, status: int, reason: Reason
) -> None:
    assert await ask(client, place) == OLD
    place.leads_to, place.status[OLD] = NEW, status
    assert await ask(client, place) is reason
    assert await ask(client, place) is reason
    assert place.connections[OLD] == 2
    await asyncio.sleep(DNS_SECONDS)
    assert await ask(client, place) == NEW


async def test_a_name_that_stays_keeps_its_connection(client: Client, place: Place) -> None:
    for _ in range(3):
        assert await ask(client, place) == OLD
        await asyncio.sleep(DNS_SECONDS)
    assert place.connections == {OLD: 1, NEW: 0}
    assert place.look_ups == 3


async def test_a_name_that_resolves_no_longer_keeps_the_connection_that_answers(
    client: Client, place: Place
) -> None:
    assert await ask(client, place) == OLD
    place.leads_to = ""
    await asyncio.sleep(DNS_SECONDS)
    assert await ask(client, place) == OLD


async def test_a_name_that_moves_to_an_address_that_is_not_allowed_is_left(
    client: Client, place: Place
) -> None:
    assert await ask(client, place) == OLD
    place.leads_to = "169.254.169.254"
    await asyncio.sleep(DNS_SECONDS)
    assert await ask(client, place) is Reason.CONNECTION
    assert place.asked == [OLD]


async def test_a_silent_name_server_delays_a_kept_connection_once_and_for_a_moment(
    client: Client, place: Place
) -> None:
    assert await ask(client, place) == OLD
    place.go.clear()
    await asyncio.sleep(DNS_SECONDS)
    async with asyncio.timeout(2):
        assert await ask(client, place) == OLD
    place.go.set()


async def test_more_look_ups_than_may_be_under_way_fail_with_a_word(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "MAX_LOOK_UPS", 3)
    place.go.clear()
    resolver = names.Names(EndpointPolicy(allow_loopback=True), place.look_up)
    waiting = [
        asyncio.create_task(resolver.resolve(f"name-{each}.servicebus.windows.net")) for each in range(3)
    ]
    await asyncio.sleep(0.05)
    with pytest.raises(ServiceBusError, match="already waiting for 3 DNS lookups") as caught:
        await resolver.resolve("another.servicebus.windows.net")
    assert caught.value.reason is Reason.DNS
    place.go.set()
    with suppress(OSError):
        await asyncio.gather(*waiting)
    assert await resolver.resolve("another.servicebus.windows.net")


async def test_the_names_that_are_kept_are_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MAX_KEPT_NAMES", 5)
    resolver = names.Names(EndpointPolicy(allow_loopback=True), place.look_up)
    for each in range(12):
        await resolver.resolve(f"name-{each}.servicebus.windows.net")
    assert len(resolver._names) == 5


async def test_after_a_silence_no_connection_is_used_that_was_made_before(
    client: Client, place: Place
) -> None:
    assert await asyncio.gather(*(ask(client, place) for _ in range(5))) == [OLD] * 5
    made = place.connections[OLD]
    place.silent = True  # as when a firewall has forgotten its connections
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(client, place), 0.2)
    place.silent = False
    assert await asyncio.gather(*(ask(client, place) for _ in range(5))) == [OLD] * 5
    assert place.connections[OLD] == 2 * made
