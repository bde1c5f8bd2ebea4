"""The simulator: its namespaces, its event loop, and the way of a request from the socket to its answer."""

import asyncio
import contextlib
import ssl
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from .certificates import CertificateStore
from .endpoint import failure, respond, route
from .faults import AFTERWARDS, INSTEAD
from .identity import Identity
from .listener import Listener
from .misbehave import deliver, instead, to_response
from .namespace import Request, SimulatedNamespace

_SERVICE_SUFFIX = ".servicebus."


class Simulator:
    """Service Bus management endpoints over TLS, in a thread of their own.

    `directory` keeps the CA and the certificates between runs (a temporary folder unless given). `port`: 0 takes a
    free one. `host`: the address that all ports are opened on. Names without an address record, such as
    `payments.servicebus.localhost`, are the client's to resolve. `fast` takes uvloop's event loop: twice the answers a
    second, for a process of its own; it can't be stopped as cleanly, so tests do without.
    """

    def __init__(
        self,
        *,
        directory: Path | str | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        fast: bool = False,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="simulator-") if directory is None else None
        self._certificates = CertificateStore(Path(directory or self._temporary.name))  # type: ignore[union-attr]
        self._host = host
        self._fast = fast
        self.namespaces: dict[str, SimulatedNamespace] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listeners: list[Listener] = []
        self._main = self._listen(None, port)
        self.identity = Identity(self)

    @property
    def port(self) -> int:
        """The port on which every namespace is reached by its host name."""
        return self._main.port

    @property
    def ca_file(self) -> Path:
        """The certificate that clients must trust, as PEM."""
        return self._certificates.ca_file

    def add_namespace(self, name: str, **options: Any) -> SimulatedNamespace:
        """Add an empty namespace; `options` are those of `SimulatedNamespace`. Raises ValueError for a taken name."""
        if not name or "." in name or name.lower() in self.namespaces:
            raise ValueError(
                f"{name!r} is taken, empty, or has a dot: a namespace is one label of a host name"
            )
        namespace = self.namespaces[name.lower()] = SimulatedNamespace(self, name, **options)
        return namespace

    # Running

    @property
    def is_running(self) -> bool:
        return self._loop is not None

    @contextlib.contextmanager
    def running(self) -> Iterator["Simulator"]:
        """Start, and stop at the end."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def start(self) -> None:
        """Start the thread and return when all ports answer."""
        if self._loop is not None:
            raise RuntimeError("the simulator runs already")
        loop = uvloop.new_event_loop() if self._fast else asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="simulator", daemon=True)
        self._loop = loop
        self._thread.start()
        for listener in self._listeners:
            self.call(listener.open())

    def stop(self) -> None:
        """End all connections and give the ports back."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            for listener in self._listeners:
                self.call(listener.close())
            self.call(_end_everything())
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=10)
            if not self._fast:  # uvloop's close() waits for peers that may never say goodbye
                loop.close()
        for listener in self._listeners:
            listener.release()
        if self._temporary is not None:
            self._temporary.cleanup()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the simulator's own thread and return its result."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the simulator doesn't run")
        result: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return result.result(timeout=10)

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    # Ports

    def listen_for(self, namespace: SimulatedNamespace) -> Listener:
        """Open a port that belongs to one namespace."""
        listener = self._listen(namespace, 0)
        if self.is_running:
            self.call(listener.open())
        return listener

    def switch(self, listener: Listener, mode: str) -> None:
        """Change what a port does, see `Listener.switch`; at once, or when the simulator starts."""
        if self.is_running:
            self.call(listener.switch(mode))
        else:
            listener.mode = mode

    def _listen(self, namespace: SimulatedNamespace | None, port: int) -> Listener:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await self._handle(request, namespace)

        context = self._certificates.context()

        def choose(
            connection: ssl.SSLObject | ssl.SSLSocket, server_name: str | None, _: ssl.SSLContext
        ) -> None:
            asked = namespace or self._namespace_of(server_name or "")
            if asked is not None:
                asked.handshakes += 1
                certificate = asked.certificate()
                if certificate != "valid":
                    connection.context = self._certificates.shared_context(certificate)

        context.sni_callback = choose  # type: ignore[assignment]
        listener = Listener(handle, context, host=self._host, port=port)
        self._listeners.append(listener)
        return listener

    def _namespace_of(self, host: str) -> SimulatedNamespace | None:
        """Return the namespace of a host name, the first one for a name that says nothing (localhost, an address)."""
        label = host.partition(".")[0].lower()
        named = self.namespaces.get(label)
        if named is not None or _SERVICE_SUFFIX in host.lower():
            return named
        return next(iter(self.namespaces.values()), None)

    # A request

    async def _handle(
        self, request: web.BaseRequest, namespace: SimulatedNamespace | None
    ) -> web.StreamResponse:
        asked = namespace or self._namespace_of(request.host)
        if asked is None:
            missing = failure(404, "No service is hosted at the specified address.", request.host, route("/"))
            return to_response(missing)
        log = asked.requests
        log.in_flight += 1
        log.most_in_flight = max(log.most_in_flight, log.in_flight)
        status, refused = 0, []
        try:
            response = await self._answer(request, asked, refused)
            status = response.status
            return response
        finally:
            log.in_flight -= 1
            target = route(request.raw_path)
            why = refused[0] if refused else ""
            log.add(Request(request.method, target.path, target.query, status, time.time(), why))

    async def _answer(
        self, request: web.BaseRequest, namespace: SimulatedNamespace, refused: list[str]
    ) -> web.StreamResponse:
        target = route(request.raw_path)
        if namespace.latency:
            await asyncio.sleep(namespace.latency)
        if faults := namespace.faults.take(INSTEAD, target.path):
            return await instead(faults[0], request, target)
        if not namespace.credits.take():
            detail = f"SubCode=50004. The request was terminated because the namespace {namespace.name} is being throttled."
            return to_response(failure(429, detail, request.host, target))
        authorization = request.headers.get("Authorization")
        why = namespace.refusal(authorization, request.host, target.path, target.entity_path)
        if why:
            refused.append(why)
            return to_response(failure(401, "claim is empty.", request.host, target))
        if request.method != "GET":
            return to_response(failure(405, "The simulator can be read only.", request.host, target))
        spoiled = namespace.faults.take(AFTERWARDS, target.path)
        content = {fault.kind: fault for fault in spoiled if fault.kind in _IN_CONTENT}
        answer = respond(namespace, target, request.host, content)
        return await deliver(answer, spoiled, request) if spoiled else to_response(answer)


async def _end_everything() -> None:
    """End what still runs: connections in the middle of their handshake belong to no server that could end them."""
    loop = asyncio.get_running_loop()
    for transport in list(getattr(loop, "_transports", {}).values()):
        transport.abort()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # transports close their sockets in the next round


_IN_CONTENT = frozenset({"no_counts", "shifted", "next_link", "delete_topic"})
