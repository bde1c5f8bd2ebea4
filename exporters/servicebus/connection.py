"""Connection strings, endpoints, and which endpoints the hub may connect to.

Connection strings are parsed here and not by the SDK: the SDK's errors don't explain the fix, its parser drops the
port, and importing azure.servicebus takes every worker process 100 ms or more. A test checks that both parsers agree.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# Those of the public cloud and of the sovereign clouds (China, US Government, Germany).
DEFAULT_SUFFIXES = (
    "servicebus.windows.net",
    "servicebus.chinacloudapi.cn",
    "servicebus.usgovcloudapi.net",
    "servicebus.cloudapi.de",
)
# The login hosts of the public cloud, the US Government and China, as listed in azure-identity. Credentials are sent to
# them, so no other host is allowed.
AUTHORITIES = ("login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn")
# The local emulator serves the management API over plain http on this port.
EMULATOR_PORT = 5300

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class ConnectionStringError(ValueError):
    """A connection string that can't be used. The message explains the fix and contains no secret."""


class EndpointNotAllowedError(ValueError):
    """An endpoint that the hub may not connect to."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a namespace's management endpoint listens."""

    host: str  # lower case; an IPv6 address without brackets
    port: int | None = None  # None: the scheme's default
    scheme: str = "https"  # http only for the local emulator

    @property
    def host_port(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def service(self) -> str:
        """Return the same text for every way to write one endpoint. Budgets are kept by it."""
        return self.host if self.port == 443 else self.host_port

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://{self.host_port}"

    def __str__(self) -> str:
        return self.host_port


@dataclass(frozen=True, slots=True)
class ConnectionString:
    endpoint: Endpoint
    key_name: str = ""
    key: str = field(default="", repr=False)
    signature: str = field(default="", repr=False)  # a ready-made SharedAccessSignature
    entity_path: str = ""
    emulator: bool = False


def parse_host(text: str) -> Endpoint:
    """Return the endpoint that `host`, `host:port`, or an https:// or sb:// address names; raise ValueError."""
    text = text.strip()
    if not text:
        raise ValueError("The host is empty. Enter one like payments-prod.servicebus.windows.net.")
    if any(character.isspace() or not character.isprintable() for character in text):
        # urlsplit drops tabs and line ends, so the result would be a different name from the one that the user sees.
        raise ValueError("The host contains a space or control character. Enter only the host, on one line.")
    try:
        parts = urlsplit(text if "://" in text else f"sb://{text}")
    except ValueError:
        raise ValueError(
            "This is not a host name. Enter one like payments-prod.servicebus.windows.net."
        ) from None
    if parts.scheme.lower() not in {"sb", "https", "amqps"}:
        raise ValueError(f"“{parts.scheme}://” is not a Service Bus address. Enter only the host.")
    if "@" in parts.netloc:
        raise ValueError("The host can't contain a username or password (@). Enter only the host.")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "\\" in text:
        raise ValueError(
            "The host can't contain a path. Enter one like payments-prod.servicebus.windows.net."
        )
    try:
        port = parts.port
    except ValueError:
        raise ValueError("The port must be a number from 1 to 65535.") from None
    if port == 0:
        raise ValueError("The port must be a number from 1 to 65535.")
    host = (parts.hostname or "").rstrip(".").lower()
    if _ip_address(host) is None and (
        not host or len(host) > 253 or not all(_LABEL.match(label) for label in host.split("."))
    ):
        raise ValueError("This is not a host name. Enter one like payments-prod.servicebus.windows.net.")
    return Endpoint(host, port)


def parse_connection_string(text: str) -> ConnectionString:
    """Parse a connection string from the Azure portal; raise ConnectionStringError."""
    values: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        name, found, value = part.partition("=")
        if not found:
            raise ConnectionStringError(
                "The connection string is incomplete or has a part without “=”. Copy all of it from the Azure "
                "portal (Shared access policies), from Endpoint= to the end."
            )
        key = name.strip().lower()
        if key in values:
            raise ConnectionStringError(
                f"The connection string contains {name.strip()[:40]} twice. Copy it again."
            )
        values[key] = value.strip()
    if "endpoint" not in values:
        raise ConnectionStringError(
            "The connection string has no Endpoint=. Copy all of it from the Azure portal (Shared access policies)."
        )
    emulator = values.get("usedevelopmentemulator", "").lower() == "true"
    try:
        endpoint = parse_host(values["endpoint"])
    except ValueError as error:
        raise ConnectionStringError(f"The connection string's Endpoint is invalid. {error}") from None
    if emulator:
        endpoint = Endpoint(endpoint.host, endpoint.port or EMULATOR_PORT, "http")
    signature = values.get("sharedaccesssignature", "")
    key_name, key_value = values.get("sharedaccesskeyname", ""), values.get("sharedaccesskey", "")
    if signature:
        if not signature.startswith("SharedAccessSignature "):
            raise ConnectionStringError(
                "SharedAccessSignature= must be a token that starts with “SharedAccessSignature sr=”."
            )
        missing = [name for name in ("sr", "sig", "se") if f"{name}=" not in signature]
        if missing:
            raise ConnectionStringError(
                f"The SharedAccessSignature is incomplete: it has no {missing[0]}=. Copy all of it."
            )
    elif not key_name:
        raise ConnectionStringError(
            "The connection string has no SharedAccessKeyName=. Copy all of it from the Azure portal."
        )
    elif not key_value:
        raise ConnectionStringError(
            "The connection string has no SharedAccessKey=: it is incomplete, or the portal showed it without the "
            "key. Copy all of the primary or secondary connection string."
        )
    return ConnectionString(
        endpoint=endpoint,
        key_name=key_name,
        key=key_value,
        signature=signature,
        entity_path=values.get("entitypath", "").strip("/"),
        emulator=emulator,
    )


@dataclass(frozen=True, slots=True)
class EndpointPolicy:
    """Which endpoints the hub may connect to. Checked when one is entered and again at every connection."""

    suffixes: tuple[str, ...] = DEFAULT_SUFFIXES
    allow_loopback: bool = False

    def check_host(self, endpoint: Endpoint) -> None:
        """Raise EndpointNotAllowedError unless the host is a Service Bus name, or this machine if that is allowed."""
        address = _ip_address(endpoint.host)
        if self.allow_loopback and (
            is_localhost(endpoint.host) or (address is not None and address.is_loopback)
        ):
            return
        if address is not None:
            raise EndpointNotAllowedError("IP addresses are not allowed. Enter the namespace's host name.")
        if endpoint.scheme != "https":
            raise EndpointNotAllowedError(
                "UseDevelopmentEmulator=true is for an emulator on the hub's machine, which the platform must allow "
                "(HUB_ALLOW_LOOPBACK=1)."
            )
        if not all(_LABEL.match(label) for label in endpoint.host.split(".")):
            raise EndpointNotAllowedError("This is not a host name.")
        if not any(endpoint.host.endswith("." + suffix.lstrip(".").lower()) for suffix in self.suffixes):
            raise EndpointNotAllowedError(
                f"{endpoint.host} is not a Service Bus endpoint. Endpoints end in {', '.join(self.suffixes)}. The "
                "platform can add others (HUB_ENDPOINT_SUFFIXES)."
            )

    def check_sign_in(self, scheme: str, host: str, port: int | None) -> None:
        """Raise EndpointNotAllowedError unless a credential may be sent to this host to get a token."""
        address = _ip_address(host)
        here = is_localhost(host) or (address is not None and address.is_loopback)
        if scheme == "https" and (
            (host in AUTHORITIES and port in {None, 443}) or (self.allow_loopback and here)
        ):
            return
        raise EndpointNotAllowedError(f"{host} is not a valid https sign-in host: {', '.join(AUTHORITIES)}.")

    def check_address(self, text: str) -> None:
        """Raise EndpointNotAllowedError for an address that no Service Bus name may resolve to.

        Private addresses are allowed, because many companies use private endpoints. Loopback, link-local (where clouds
        serve their metadata) and similar addresses are not, whatever name resolves to them.
        """
        address = _ip_address(text.partition("%")[0])
        if address is None:
            raise EndpointNotAllowedError("The host name resolves to something that is not an IP address.")
        plain = _inner_address(address)
        if plain.is_loopback and self.allow_loopback:
            return
        if (
            plain.is_loopback
            or plain.is_link_local
            or plain.is_multicast
            or plain.is_unspecified
            or plain in _METADATA
            or any(plain.version == network.version and plain in network for network in _NO_PLACES)
            or (plain.is_reserved and not plain.is_private)
        ):
            raise EndpointNotAllowedError(
                f"The host name resolves to {address}, which can't be an address of Service Bus."
            )


# Cloud metadata services outside of the link-local range: AWS's and Google's over IPv6, Azure's wire server, Alibaba's,
# Oracle's.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
    )
)
# Networks without valid targets that ipaddress counts as private: "this network" (RFC 1122; some systems treat it as
# themselves) and class E with the broadcast address (RFC 1112). Also Teredo, which hides an IPv4 address (RFC 4380).
_NO_PLACES = tuple(map(ipaddress.ip_network, ("0.0.0.0/8", "240.0.0.0/4", "2001::/32")))
# RFC 6052: IPv6-only networks that translate put a name's IPv4 address in the last 32 bits.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


def _inner_address(address: IPAddress) -> IPAddress:
    """Return the IPv4 address inside a mapped, translated or tunnelled (6to4) IPv6 address; otherwise the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_localhost(host: str) -> bool:
    """Return whether the name is this machine's by RFC 6761, section 6.3: localhost and everything below it."""
    return host == "localhost" or host.endswith(".localhost")


def _ip_address(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    # inet_aton accepts more than dotted quads (127.1, 0x7f000001, 2130706433); none of it may pass for a name.
    if re.fullmatch(r"(0x[0-9a-f]+|\d+)(\.(0x[0-9a-f]+|\d+)){0,3}", host):
        try:
            import socket

            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return None
