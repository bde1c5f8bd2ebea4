"""One port, which can also refuse connections, or accept them and stay silent."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_KEEPALIVE_SECONDS = 120.0
_BACKLOG = 1024


class _Silent(asyncio.Protocol):
    """Accepts a connection and never sends anything: a peer that hangs before the TLS handshake."""

    def __init__(self, peers: set[asyncio.BaseTransport]) -> None:
        self._peers = peers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._peers.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._peers.discard(self._transport)


class Listener:
    """A port. It is bound immediately, so its number is known before the simulator runs; `open` makes it listen.

    `context`: None for plain HTTP.
    """

    def __init__(self, handler: Handler, context: ssl.SSLContext | None, *, host: str, port: int = 0) -> None:
        self._handler = handler
        self._context = context
        self._host = host
        self._socket: socket.socket | None = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.mode = "serve"
        self.is_control = False  # whether it is the simulator's control endpoint
        self._server: asyncio.AbstractServer | None = None
        self._web: web.Server | None = None
        self._silent: set[asyncio.BaseTransport] = set()

    async def switch(self, mode: str) -> None:
        """Change the port's mode: serve, refuse (not listening), hang_handshake (accept, and stay silent)."""
        if mode != self.mode:
            self.mode = mode
            await self.close()
            await self.open()

    async def open(self) -> None:
        if self.mode == "refuse":
            self.release()
            return
        listening = self._socket or _bound(self._host, self.port)
        self._socket = None
        loop = asyncio.get_running_loop()
        if self.mode == "hang_handshake":
            self._server = await loop.create_server(
                lambda: _Silent(self._silent), sock=listening, backlog=_BACKLOG
            )
            return
        # A handler is cancelled when its client disconnects: hanging and endless responses end with their connection.
        self._web = web.Server(
            self._handler, access_log=None, keepalive_timeout=_KEEPALIVE_SECONDS, handler_cancellation=True
        )
        self._server = await loop.create_server(
            self._web, sock=listening, ssl=self._context, backlog=_BACKLOG
        )

    async def end_connections(self) -> None:
        """End the open connections; the port stays open."""
        for connection in list(self._web.connections) if self._web is not None else ():
            if connection.transport is not None:
                connection.transport.abort()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._web is not None:
            transports = [connection.transport for connection in self._web.connections]
            await self._web.shutdown(0.1)
            self._web = None
            for transport in transports:  # a TLS connection would wait for the peer's close_notify
                if transport is not None:
                    transport.abort()
        for peer in list(self._silent):
            peer.close()

    def release(self) -> None:
        """Release the port if it is bound but not listening."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
