"""The path to an endpoint in separate steps, each with its own error: name, connection, TLS.

Used by connection tests; reads connect in one step.
"""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from yarl import URL

from .client import Client
from .connection import Endpoint, EndpointNotAllowedError
from .errors import Reason, ServiceBusError


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a connection showed that was opened and closed again."""

    address: str
    version: str  # for example TLSv1.3; empty for plain HTTP, which the local emulator uses
    certificate_expires: datetime | None


async def look_up(client: Client, endpoint: Endpoint) -> list[str]:
    """Return the addresses of the endpoint's host; raise ServiceBusError (dns, or connection if one is not allowed)."""
    client.check(endpoint)
    try:
        found = await client.resolver.resolve(endpoint.host, _port(endpoint), family=socket.AF_UNSPEC)
    except EndpointNotAllowedError as error:
        raise ServiceBusError(Reason.CONNECTION, f"The hub is not allowed to connect. {error}") from None
    except OSError:
        raise ServiceBusError(Reason.DNS, f"The name {endpoint.host} does not resolve.") from None
    addresses = list(dict.fromkeys(each["host"] for each in found))
    if not addresses:
        raise ServiceBusError(Reason.DNS, f"The name {endpoint.host} has no address.")
    return addresses


async def shake_hands(client: Client, endpoint: Endpoint, addresses: list[str]) -> Handshake:
    """Connect to the first address that responds; raise ServiceBusError: tls, or connection if none responds."""
    problem = "no address"
    for address in addresses:
        try:
            return await _connect(client, endpoint, address)
        except ssl.SSLCertVerificationError as error:
            detail = (error.verify_message or "it is not valid for this host").rstrip(".")
            raise ServiceBusError(
                Reason.TLS, f"The certificate of {endpoint} was rejected: {detail}."
            ) from None
        except ssl.SSLError:
            raise ServiceBusError(Reason.TLS, f"TLS with {endpoint} failed.") from None
        except OSError as error:
            problem = error.strerror or "no connection"
    raise ServiceBusError(Reason.CONNECTION, f"{endpoint} can't be reached: {problem}.")


async def _connect(client: Client, endpoint: Endpoint, address: str) -> Handshake:
    secure = endpoint.scheme == "https"
    _, writer = await asyncio.open_connection(
        address,
        _port(endpoint),
        ssl=client.ssl_context if secure else None,
        server_hostname=endpoint.host if secure else None,
    )
    try:
        connection = writer.get_extra_info("ssl_object")
        if connection is None:
            return Handshake(address, "", None)
        certificate = connection.getpeercert() or {}
        return Handshake(address, connection.version() or "TLS", _moment(certificate.get("notAfter")))
    finally:
        # Not writer.close(), which would wait for the peer's close_notify.
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _moment(text: object) -> datetime | None:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC) if isinstance(text, str) else None


def _port(endpoint: Endpoint) -> int:
    return URL(endpoint.base_url).port or 443
