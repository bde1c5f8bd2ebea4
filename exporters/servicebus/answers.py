"""Limits of incoming HTTP responses, where aiohttp has none, and connections that must not be reused."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiohttp.client_proto import ResponseHandler

from .errors import Reason, ServiceBusError

# Status line and headers, including those of interim responses. Service Bus sends less than 1 kB.
MAX_HEAD_BYTES = 65_536
# Interim responses (1xx) before the final response. Service Bus sends none.
MAX_INTERIM_ANSWERS = 8
# A response with everything that HTTP adds to its body, such as chunk sizes, chunk extensions and trailers.
MAX_ANSWER_BYTES = 5_242_880

# After these, and after 5xx, a connection is not reused: the name's address, or the server behind the address, may have
# changed.
_REFUSALS = frozenset({401, 403, 404, 410, 421})
# The size of one read.
BUFFER_BYTES = 98_304
# Parsed at a time until the head is complete, so that one piece of data can't hold thousands of interim responses.
_PIECE = 4_096


class BoundedAnswers(ResponseHandler):
    """A connection of aiohttp that ends when its peer exceeds the limits of a response.

    aiohttp itself puts interim responses into an unbounded queue, and doesn't count bytes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        may_use: Callable[[str, str, float], bool],
        count: Callable[[str, int], None],
        buffer: memoryview,
    ) -> None:
        """`may_use` returns whether a connection to an address, made at a given time, may be used for a host name.

        `count` is called with a host name and 1 when a connection to it is made, and with -1 when it has ended. All
        connections of a loop read into the same `buffer`, one after the other.
        """
        super().__init__(loop)
        self._may_use = may_use
        self._count = count
        self._read_buffer = buffer
        self._made_at = loop.time()
        self._in_head = True
        self._received = 0
        self._interim = 0
        self._host = self._address = ""  # of the peer; empty without TLS

    def set_response_params(self, **options: Any) -> None:
        """Prepare for the response to a new request."""
        self._in_head = True
        self._received = self._interim = 0
        super().set_response_params(**options)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        tls, peer = transport.get_extra_info("ssl_object"), transport.get_extra_info("peername")
        if tls and peer:
            self._host, self._address = tls.server_hostname or "", peer[0]
            self._count(self._host, 1)
        if tls:
            # uvloop's transports aren't instances of asyncio.Transport.
            cast(asyncio.Transport, transport).set_protocol(_Buffered(self, self._read_buffer))

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._host:
            self._count(self._host, -1)
        super().connection_lost(exc)

    def is_connected(self) -> bool:
        """Return whether the connection can be used: not if its host has moved or didn't respond in time."""
        if not super().is_connected():
            return False
        return not self._host or self._may_use(self._host, self._address, self._made_at)

    def close(self) -> None:
        """Close the connection immediately.

        An orderly TLS shutdown would read on until the peer's close_notify, and keep everything that it sends until
        then.
        """
        self.abort()

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp resumes its parser
            super().data_received(data)
            return
        if not self._in_head and (self._payload is None or self._payload.is_eof()):
            # Unrequested data: a part of it could be taken for the next response.
            self.abort()
            return
        self._received += len(data)
        if self._received > MAX_ANSWER_BYTES:
            self._refuse(f"A response has more than {MAX_ANSWER_BYTES} bytes, more than Service Bus sends.")
            return
        if data.startswith(b"HTTP/1.1 200"):  # the usual response, which isn't an interim one
            super().data_received(data)
            return
        start = 0
        while self._in_head and start < len(data):
            super().data_received(data[start : start + _PIECE])
            start += _PIECE
            if self._exception is not None or self.transport is None:
                return
            if self._in_head and self._received - len(data) + start > MAX_HEAD_BYTES:
                self._refuse(f"The headers of a response have more than {MAX_HEAD_BYTES} bytes.")
                return
        if start < len(data):
            super().data_received(data[start:] if start else data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Receive a message from the parser. Interim responses are counted and discarded."""
        message, _ = data
        if self._in_head and 100 <= message.code < 200 and message.code != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM_ANSWERS:
                self._refuse(
                    f"Received more than {MAX_INTERIM_ANSWERS} interim responses (status {message.code})."
                )
            return
        if not self._in_head:  # a second response to one request
            self.force_close()
            return
        self._in_head = False
        if message.code in _REFUSALS or message.code >= 500:
            self.force_close()
        super().feed_data(data, size)

    def _refuse(self, message: str) -> None:
        if self._exception is None:
            error = ServiceBusError(Reason.TOO_LARGE, message)
            payload = self._payload
            self.set_exception(error)
            if payload is not None and not payload.is_eof():
                payload.set_exception(error)
        transport = self.transport
        if transport is not None:
            transport.abort()


class _Buffered(asyncio.BufferedProtocol):
    """Reads data from TLS into an existing buffer, and passes it on.

    Otherwise, uvloop would allocate 256 KiB for each read, which are mapped and unmapped: 17 times in a scrape of 100
    queues.
    """

    def __init__(self, answers: BoundedAnswers, buffer: memoryview) -> None:
        self._answers = answers
        self._buffer = buffer
        self.pause_writing = answers.pause_writing  # type: ignore[method-assign]
        self.resume_writing = answers.resume_writing  # type: ignore[method-assign]
        self.eof_received = answers.eof_received  # type: ignore[method-assign]
        self.connection_lost = answers.connection_lost  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        # A copy, because aiohttp may keep it while other connections use the buffer.
        self._answers.data_received(bytes(self._buffer[:nbytes]))
