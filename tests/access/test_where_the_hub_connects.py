"""Attempts to connect the hub to something other than a Service Bus: refused at entry, at import and on connecting."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from exporters import hub_yaml
from exporters.credentials.endpoints import policy
from exporters.models import Credential, Namespace, Team
from exporters.servicebus.client import Client
from exporters.servicebus.connection import Endpoint, EndpointNotAllowedError, parse_host
from exporters.servicebus.errors import Reason, ServiceBusError

NO_NAMES = [
    "127.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0.0.0.0",
    "localhost",
    "x.localhost",
    "169.254.169.254",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "168.63.129.16",
    "10.0.0.1",
    "evil.example/.servicebus.windows.net",
    "evil.example\\.servicebus.windows.net",
    "evil.example#.servicebus.windows.net",
    "evil.example?.servicebus.windows.net",
    "evil.example:443@x.servicebus.windows.net",
    "x.servicebus.windows.net@evil.example",
    "x.servicebus.windows.net.evil.example",
    "evilservicebus.windows.net",
    "servicebus.windows.net",
    ".servicebus.windows.net",
    "x.servicebus.windows.net:0",
    "x.servicebus.windows.net:99999",
    "x.servicebus.windows.net%00.evil.example",
    "x。evil.example",
    "evil\uff0eservicebus\uff0ewindows\uff0enet",
    "http://x.servicebus.windows.net",
    "file:///etc/passwd",
    "x.servicebus.windows.net\r\nHost: evil.example",
    "evil.example\n.servicebus.windows.net",
    "evil.example\t.servicebus.windows.net",
    "evil.example\u2028.servicebus.windows.net",
    "\uff11\uff12\uff17.0.0.1",
    "\uff58.servicebus.windows.net",
    "127\u30020.0.1",
    "127.0.0.1.",
    "[64:ff9b::7f00:1]",
    "[::1",
    "[v1.x].servicebus.windows.net",
    "[x.servicebus.windows.net]",
    "x..servicebus.windows.net",
    "metadata.google.internal",
    "https://x.servicebus.windows.net@evil.example",
]
# Addresses that a Service Bus name must not resolve to, then those that it may: private endpoints.
NO_ADDRESSES = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "169.254.169.254",
    "fe80::1%1",
    "fd00:ec2::254",
    "168.63.129.16",
    "100.100.100.200",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "fd20:ce::254",
    "192.0.0.192",
    "0.1.2.3",
    "240.0.0.1",
    "not an address",
]
PRIVATE = ["64:ff9b::a00:1", "10.0.0.1", "172.16.3.4", "192.168.1.5", "fd12:3456::1"]


@pytest.fixture
def team(db: None, settings: Any) -> Team:
    settings.HUB_ALLOW_LOOPBACK = False
    return Team.objects.create(name="payments")


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    """A port on this machine, and the addresses of clients that connected to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        came: list[object] = []

        def accept() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                came.append(address)
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("host", NO_NAMES)
def test_what_is_no_service_bus_name_is_refused_where_it_is_entered(team: Team, host: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Namespace(name="x", team=team, host=host).full_clean()
    assert refused.value.message_dict["host"][0]
    # The same in a connection string.
    secret = f"Endpoint=sb://{host}/;SharedAccessKeyName=a;SharedAccessKey=YWJj"
    with pytest.raises(ValidationError) as refused:
        Credential(name="x", team=team, secret=secret).full_clean()
    assert "secret" in refused.value.message_dict


@pytest.mark.parametrize("host", [host for host in NO_NAMES if host.isprintable()])
def test_what_is_no_service_bus_name_is_refused_where_it_is_imported(team: Team, host: str) -> None:
    quoted = host.replace("\\", "\\\\")
    text = f'namespaces:\n  - {{name: x, team: payments, host: "{quoted}"}}\n'
    assert any("namespaces[0].host" in message for message in hub_yaml.plan(text).messages())
    assert not Namespace.objects.exists()


@pytest.mark.parametrize("host", NO_NAMES)
def test_what_is_no_service_bus_name_is_refused_at_the_connection(
    team: Team, host: str, listener: tuple[int, list[object]]
) -> None:
    port, came = listener
    # As if the host had reached the database in another way, and every name led to this machine.
    with pytest.raises(ServiceBusError) as refused:
        _get(Endpoint(host.strip("[]"), port), "127.0.0.1")
    assert refused.value.reason is Reason.CONNECTION
    assert "is not allowed to connect" in refused.value.message
    assert came == []


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_a_service_bus_name_that_leads_elsewhere_is_not_connected_to(
    team: Team, address: str, listener: tuple[int, list[object]]
) -> None:
    port, came = listener
    with pytest.raises(ServiceBusError, match="is not allowed to connect"):
        _get(Endpoint("x.servicebus.windows.net", port), address)
    assert came == []


@pytest.mark.parametrize("address", PRIVATE)
def test_private_endpoints_are_fine(team: Team, address: str) -> None:
    policy().check_address(address)


def test_one_bad_address_among_good_ones_is_enough(team: Team, listener: tuple[int, list[object]]) -> None:
    port, came = listener
    with pytest.raises(ServiceBusError, match="is not allowed to connect"):
        _get(Endpoint("x.servicebus.windows.net", port), "10.255.255.1", "127.0.0.1")
    assert came == []


def test_a_public_name_that_leads_to_a_private_address_is_no_service_bus_name(team: Team) -> None:
    with pytest.raises(EndpointNotAllowedError, match="is not a Service Bus endpoint"):
        policy().check_host(parse_host("intranet.example.org"))
    with pytest.raises(ServiceBusError, match="is not allowed to connect"):
        _get(Endpoint("intranet.example.org"), "10.0.0.1")


@pytest.mark.parametrize(
    "host", ["evil.example", "login.microsoftonline.com.evil.example", "127.0.0.1", "a@b"]
)
def test_a_secret_is_sent_to_the_clouds_own_sign_in_alone(team: Team, host: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Credential(name="x", team=team, kind="client_secret", secret="s", authority=host).full_clean()
    assert "authority" in refused.value.message_dict


def _get(endpoint: Endpoint, *addresses: str) -> None:
    def look_up(host: str, port: int, **kwargs: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, 0, 0, "", (each, port)) for each in addresses
        ]

    async def ask() -> None:
        client = Client(policy(), look_up=look_up)
        try:
            await asyncio.wait_for(client.get(endpoint, "/$namespaceinfo", "x"), 10)
        finally:
            await client.close()

    asyncio.run(ask())
