"""Raw TLS servers that respond in place of Service Bus, and a hub's client for them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from exporters.servicebus.connection import Endpoint
from simulator.certificates import Authority, CertificateStore

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(
    serve: Serve, context: ssl.SSLContext | None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """Serve connections and yield the port; cancel those still running afterwards."""
    tasks: set[asyncio.Task[None]] = set()

    async def of_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError
        ):
            await serve(reader, writer)
        tasks.discard(task)
        writer.transport.abort()

    server = await asyncio.start_server(of_one, host, port, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.sleep(0.05)


def here(port: int) -> Endpoint:
    return Endpoint("raw.servicebus.localhost", port)


def context_for(certificates: Path, folder: Path, name: str) -> ssl.SSLContext:
    """Return a server context for a name that is not below localhost, signed by the simulator's CA."""
    store = CertificateStore(certificates)
    authority = Authority.load(store.ca_file.read_bytes(), (certificates / "ca.key").read_bytes())
    pem = folder / "named.pem"
    pem.write_bytes(authority.issue((name,)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
