"""HTTPS to management endpoints: one session and one SSLContext per process, bounded responses, errors by cause."""

import asyncio
import socket
import ssl
from functools import partial
from typing import Any

import aiohttp
from yarl import URL

from .answers import BUFFER_BYTES, BoundedAnswers
from .connection import Endpoint, EndpointNotAllowedError, EndpointPolicy
from .errors import Reason, ServiceBusError
from .events import DISCARDED, Answered, Events
from .names import DNS_SECONDS, MAX_KEPT_NAMES, Names
from .retry_after import retry_after_seconds

# The largest page seen is 300 kB (100 queues). With 1,024 characters of UserMetadata and twelve AuthorizationRules per
# queue it would be 1.5 MB. An endpoint that sends more costs 4 MiB for each of its requests under way.
MAX_BODY_BYTES = 4 * 1024 * 1024
# Longer than the common scrape intervals, so that a namespace's connections are still open for its next scrape. Shorter
# than the 4 minutes after which Azure's load balancers drop an idle connection, by default without notice.
_KEEP_ALIVE_SECONDS = 180
# How long to wait for a response that is too late for its read, and how many of these at a time. Their partial bodies
# stay in memory, 256 MiB at most.
_LATE_SECONDS = 30.0
MAX_LATE_ANSWERS = 64


class ThrottledError(ServiceBusError):
    """429 or 503."""

    def __init__(self, status: int, retry_after: float | None) -> None:
        super().__init__(Reason.THROTTLED, f"Service Bus is throttling requests (status {status}).")
        self.retry_after = retry_after


class Client:
    """The HTTPS client of a process, created on the I/O loop."""

    def __init__(
        self,
        policy: EndpointPolicy,
        ca_file: str | None = None,
        *,
        look_up: Any = socket.getaddrinfo,
        dns_seconds: float = DNS_SECONDS,
        max_body_bytes: int = MAX_BODY_BYTES,
        events: Events = DISCARDED,
    ) -> None:
        """`dns_seconds`: after how long a name is looked up again. Each request's end is added to `events`."""
        self._policy = policy
        self._max_body_bytes = max_body_bytes
        self._events = events
        self._allowed: set[Endpoint] = set()
        # Takes 33 to 44 ms, so there is only one.
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(cafile=ca_file)
        self.ssl_context = context
        self.resolver = Names(policy, look_up, dns_seconds)
        connector = aiohttp.TCPConnector(
            ssl=context,
            resolver=self.resolver,
            use_dns_cache=False,  # the resolver has its own
            limit=0,  # the reader limits how many requests of a namespace are under way
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
        )
        self._open: dict[str, int] = {}  # TLS connections, by host
        self._late: set[asyncio.Task[None]] = set()
        # aiohttp has no public way to limit what it reads of a response. Tests fail if this attribute is removed.
        connector._factory = partial(  # type: ignore[assignment]
            BoundedAnswers,
            loop=asyncio.get_running_loop(),
            may_use=self.resolver.may_use,
            count=self._count_connection,
            buffer=memoryview(bytearray(BUFFER_BYTES)),
        )
        self.session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # the whole read has one deadline
            headers={"User-Agent": "servicebus-exporter-hub", "Accept": "application/atom+xml"},
            auto_decompress=False,
            skip_auto_headers=["Accept-Encoding"],
            trust_env=False,
        )

    def check(self, endpoint: Endpoint) -> None:
        """Raise ServiceBusError for an endpoint that the hub may not connect to."""
        if endpoint in self._allowed:
            return
        try:
            self._policy.check_host(endpoint)
        except EndpointNotAllowedError as error:
            raise ServiceBusError(Reason.CONNECTION, f"The hub is not allowed to connect. {error}") from None
        if len(self._allowed) >= MAX_KEPT_NAMES:
            self._allowed.clear()
        self._allowed.add(endpoint)

    async def get(self, endpoint: Endpoint, path: str, authorization: str) -> bytes:
        """Return the body of a 200. `path` is already quoted and begins with a slash.

        Raises ServiceBusError by cause, ThrottledError for 429 and 503. There is no timeout: cancel the call instead.
        """
        self.check(endpoint)
        url = URL(endpoint.base_url + path, encoded=True)
        status = 0
        try:
            if self.resolver.is_due(endpoint.host):
                await self.resolver.follow(endpoint.host)
            async with self.session.get(
                url, headers={"Authorization": authorization}, allow_redirects=False
            ) as response:
                status = response.status
                if self._late and asyncio.current_task() in self._late:
                    self.resolver.note_answer(endpoint.host)
                if status == 200:
                    return await self._body(response)
                raise _status_error(response)
        except ServiceBusError:
            raise
        except asyncio.CancelledError:  # its deadline has passed
            if asyncio.current_task() not in self._late:
                self.resolver.note_silence(endpoint.host)
            raise
        except EndpointNotAllowedError as error:
            raise ServiceBusError(Reason.CONNECTION, f"The hub is not allowed to connect. {error}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _connection_error(error, endpoint) from None
        finally:
            self._events.append(Answered(status))

    def is_connected(self, endpoint: Endpoint) -> bool:
        """Return whether a TLS connection to the endpoint's host is open, or none is needed."""
        return endpoint.scheme != "https" or endpoint.host in self._open

    def leave(self, endpoint: Endpoint, task: "asyncio.Task[None]") -> bool:
        """Let a task that runs get() go on for a while after its deadline, so that its connection can be reused.

        The task ends soon after its response. Returns False if too many such tasks are running already.
        """
        self.resolver.note_silence(endpoint.host)
        if len(self._late) >= MAX_LATE_ANSWERS:
            return False
        self._late.add(task)
        timer = asyncio.get_running_loop().call_later(_LATE_SECONDS, task.cancel)

        def ended(_: "asyncio.Task[None]") -> None:
            timer.cancel()
            self._late.discard(task)

        task.add_done_callback(ended)
        return True

    def _count_connection(self, host: str, change: int) -> None:
        number = self._open.get(host, 0) + change
        if number > 0:
            self._open[host] = number
        else:
            self._open.pop(host, None)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        if (response.content_length or 0) > self._max_body_bytes:
            raise self._too_large()
        pieces, size = [], 0
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > self._max_body_bytes:
                raise self._too_large()
            pieces.append(piece)
        return b"".join(pieces)

    def _too_large(self) -> ServiceBusError:
        return ServiceBusError(
            Reason.TOO_LARGE,
            f"A response is larger than {self._max_body_bytes} bytes, larger than any page that Service Bus sends.",
        )

    def token_transport(self) -> Any:
        """Return a transport for azure-identity that uses this client's session, CA file and policy."""
        # Imported here, because azure-core is only needed for credentials of Entra ID.
        from .token_transport import TokenTransport

        return TokenTransport(self._policy, self.session, self.resolver.note_silence)

    async def close(self) -> None:
        late = list(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self.session.close()


_STATUS: dict[int, tuple[Reason, str]] = {
    401: (
        Reason.UNAUTHORIZED,
        "Service Bus rejected the credential (401): it is wrong, expired or lacks the Manage right.",
    ),
    403: (
        Reason.FORBIDDEN,
        "Service Bus denied access (403): a role is missing, or the firewall blocks the hub's address.",
    ),
    404: (Reason.NOT_FOUND, "The namespace or entity doesn't exist (404)."),
    410: (Reason.NOT_FOUND, "The namespace or entity no longer exists (410)."),
}


def _status_error(response: aiohttp.ClientResponse) -> ServiceBusError:
    status = response.status
    if status in {429, 503}:
        return ThrottledError(status, retry_after_seconds(response.headers.get("Retry-After")))
    if status in _STATUS:
        return ServiceBusError(*_STATUS[status])
    if 300 <= status < 400:
        return ServiceBusError(
            Reason.MALFORMED, f"The endpoint sent a redirect (status {status}), which the hub doesn't follow."
        )
    if status >= 500:
        return ServiceBusError(Reason.SERVER_ERROR, f"Service Bus returned a server error (status {status}).")
    return ServiceBusError(Reason.MALFORMED, f"The endpoint returned an unexpected status: {status}.")


def _connection_error(error: Exception, endpoint: Endpoint) -> ServiceBusError:
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return ServiceBusError(Reason.DNS, f"The name {endpoint.host} does not resolve.")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        detail = getattr(error.certificate_error, "verify_message", "") or "it is not valid for this host"
        return ServiceBusError(Reason.TLS, f"The certificate of {endpoint} was rejected: {detail}.")
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return ServiceBusError(Reason.TLS, f"TLS with {endpoint} failed.")
    if isinstance(error, aiohttp.ClientPayloadError):
        return ServiceBusError(
            Reason.CONNECTION, f"{endpoint} closed the connection in the middle of a response."
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return ServiceBusError(
            Reason.CONNECTION, f"{endpoint} can't be reached: {error.strerror or 'no connection'}."
        )
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | OSError):
        return ServiceBusError(Reason.CONNECTION, f"{endpoint} closed the connection without a response.")
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL | ValueError):
        return ServiceBusError(Reason.MALFORMED, f"{endpoint} did not send a valid HTTP response.")
    return ServiceBusError(Reason.CONNECTION, f"The request to {endpoint} failed ({type(error).__name__}).")
