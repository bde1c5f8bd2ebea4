"""Credentials are sent only to the clouds' sign-in hosts, whatever the database contains."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from exporters.servicebus.client import Client
from exporters.servicebus.connection import EndpointNotAllowedError, EndpointPolicy, parse_host
from exporters.servicebus.entra import client_secret_credential
from exporters.servicebus.errors import Reason, ServiceBusError
from simulator import Simulator
from simulator.certificates import CertificateStore

SECRET = "planted~client~secret~of~the~sign~in"
TENANT = "0f5a9f6e-1111-4222-8333-444455556666"


@asynccontextmanager
async def listening(context: ssl.SSLContext, answer: bytes = b"") -> AsyncIterator[tuple[int, list[bytes]]]:
    """Yield a port on this machine, and the data sent to it: one entry per connection."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(b"")
        came[-1] = await reader.read(4096)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()


async def ask(client: Client, authority: str) -> ServiceBusError:
    credential = client_secret_credential(
        TENANT, "client", SECRET, authority=authority, transport=client.token_transport()
    )
    try:
        with pytest.raises(ServiceBusError) as refused:
            await credential.authorization(parse_host("pay.servicebus.windows.net"))
    finally:
        await credential.close()
        await client.close()
        await asyncio.sleep(0.1)  # TLS connections shut down on the loop
    assert SECRET not in refused.value.message
    return refused.value


@pytest.mark.parametrize(
    "host", ["evil.example", "login.microsoftonline.com.evil.example", "localhost", "127.0.0.1", "[::1]"]
)
async def test_no_other_host_is_asked_for_a_token(simulator: Simulator, host: str) -> None:
    def to_this_machine(name: str, port: int, **kwargs: object) -> list[object]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    async with listening(CertificateStore(simulator.ca_file.parent).context()) as (port, came):
        client = Client(EndpointPolicy(), str(simulator.ca_file), look_up=to_this_machine)
        refused = await ask(client, f"{host}:{port}")
    assert refused.reason is Reason.CREDENTIAL
    assert "is not a valid https sign-in host" in refused.message
    assert came == []


async def test_a_sign_in_host_that_leads_to_this_machine_is_not_asked(simulator: Simulator) -> None:
    asked: list[str] = []

    def to_metadata(name: str, port: int, **kwargs: object) -> list[object]:
        asked.append(name)
        return [(2, 1, 6, "", ("169.254.169.254", port))]

    refused = await ask(Client(EndpointPolicy(), look_up=to_metadata), "login.microsoftonline.us")
    assert asked == ["login.microsoftonline.us"]
    assert "resolves to 169.254.169.254" in refused.message


async def test_a_redirect_of_the_sign_in_host_is_not_followed(simulator: Simulator) -> None:
    context = CertificateStore(simulator.ca_file.parent).context()
    async with listening(context) as (elsewhere, there):
        moved = (
            f"HTTP/1.1 307 Moved\r\nLocation: https://login.servicebus.localhost:{elsewhere}/\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        )
        async with listening(context, moved.encode()) as (port, came):
            client = Client(EndpointPolicy(allow_loopback=True), str(simulator.ca_file))
            refused = await ask(client, f"login.servicebus.localhost:{port}")
    assert refused.reason is Reason.CREDENTIAL
    assert came
    assert there == []


@pytest.mark.parametrize(
    ("scheme", "host", "port"),
    [
        ("http", "login.microsoftonline.com", None),
        ("https", "login.microsoftonline.com", 8443),
        ("https", "login.microsoftonline.com.", None),
        ("https", "169.254.169.254", None),
        ("http", "localhost", 80),
    ],
)
def test_the_name_alone_is_not_enough(scheme: str, host: str, port: int | None) -> None:
    with pytest.raises(EndpointNotAllowedError):
        EndpointPolicy(allow_loopback=True).check_sign_in(scheme, host, port)
