"""Names whose DNS servers never respond, next to names that resolve."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from exporters.servicebus.client import Client
from exporters.servicebus.connection import EndpointPolicy, parse_host
from exporters.servicebus.errors import Reason, ServiceBusError

HANGING = 200


class SilentServers:
    """A getaddrinfo that blocks for names beginning with "hanging" until it is released."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.all_hang = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, *arguments: Any, **options: Any) -> list[Any]:
        self.asked.append(host)
        if len(self.asked) >= HANGING:
            self.all_hang.set()
        if host.startswith("hanging"):
            self.go.wait(120)
        raise OSError(f"{host} does not resolve")


@pytest.fixture
def servers() -> Iterator[SilentServers]:
    servers = SilentServers()
    yield servers
    servers.go.set()


async def ask(client: Client, host: str) -> Reason | None:
    try:
        await client.get(parse_host(host), "/", "none")
    except ServiceBusError as error:
        return error.reason
    return None


async def test_names_that_hang_hold_no_other_name_up_and_are_asked_for_once(servers: SilentServers) -> None:
    client = Client(EndpointPolicy(), look_up=servers)
    hosts = [f"hanging-{number}.servicebus.windows.net" for number in range(HANGING)]
    try:
        for _ in range(2):  # the second time while the first look-ups still hang
            waiting = [asyncio.create_task(ask(client, host)) for host in hosts]
            assert await asyncio.to_thread(servers.all_hang.wait, 60)
            async with asyncio.timeout(60):
                assert await ask(client, "healthy.servicebus.windows.net") is Reason.DNS
            assert not any(task.done() for task in waiting)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(host.startswith("hanging") for host in servers.asked) == HANGING
    finally:
        servers.go.set()
        await client.close()
        await asyncio.sleep(0.1)
