"""The simulator: its namespaces, its event loop, its ports, and the dispatch of requests."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import ssl
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from . import identity_endpoint
from .certificates import CertificateStore
from .drift import Drift
from .identity import Identity
from .listener import Listener
from .namespace import SimulatedNamespace
from .own_port import OwnPort
from .service import no_such_namespace, serve_identity, serve_namespace

_SERVICE_SUFFIX = ".servicebus."


class Simulator:
    """Service Bus management endpoints over TLS, in their own thread.

    `directory` keeps the CA and the certificates between runs (by default a temporary folder). `port`: 0 takes a free
    one. `host`: the address on which all ports are opened. Clients have to resolve names without an address record,
    such as `payments.servicebus.localhost`, themselves. `fast` uses uvloop's event loop, which sends twice as many
    responses per second. It is meant for a separate process: it can't be stopped as cleanly, so tests don't use it.
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
        self._drifts: dict[str, Drift] = {}
        self._drifting: dict[str, asyncio.Task[None]] = {}
        self._main = self._listen(None, port)
        self.identity = Identity(
            self.derived_key("tenant"),
            port=self.port,
            own_port=OwnPort(lambda: self._listen_for_identity(plain=False), self._switch),
            plain_port=OwnPort(lambda: self._listen_for_identity(plain=True), self._switch),
        )

    @property
    def port(self) -> int:
        """The port that serves every namespace by its host name."""
        return self._main.port

    @property
    def ca_file(self) -> Path:
        """The certificate that clients must trust, as PEM."""
        return self._certificates.ca_file

    def add_namespace(self, name: str, *, key: str | None = None, **options: Any) -> SimulatedNamespace:
        """Add an empty namespace; `options` are those of `SimulatedNamespace`. Raises ValueError for a taken name.

        `key`: by default one that is the same in every run with the same directory.
        """
        if not name or "." in name or name.lower() in self.namespaces:
            raise ValueError(
                f"{name!r} is taken, empty, or has a dot: a namespace is one label of a host name"
            )
        namespace = self.namespaces[name.lower()] = SimulatedNamespace(
            name,
            key=key or self.derived_key(name),
            identity=self.identity,
            port=self.port,
            own_port=OwnPort(lambda: self._listen(namespace, 0), self._switch),
            ca_file=self.ca_file,
            **options,
        )
        return namespace

    def remove_namespace(self, name: str) -> None:
        """Remove a namespace and close its own port. From now on, requests to its host name get 404."""
        namespace = self.namespaces.pop(name.lower())
        self.stop_drift(namespace)
        listener = namespace.close_own_port()
        if listener is not None:
            self._listeners.remove(listener)
            if self.is_running:
                self.call(listener.close())
            listener.release()

    def derived_key(self, purpose: str) -> str:
        """Return a shared access key that is the same in every run with the same directory."""
        digest = hmac.new(self._certificates.secret(), purpose.lower().encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode()

    # Counts that move

    def start_drift(self, namespace: SimulatedNamespace, **options: Any) -> None:
        """Change the counts of a namespace over time while the simulator runs; `options` are those of `Drift`."""
        self.stop_drift(namespace)
        self._drifts[namespace.name] = Drift(namespace, **options)
        if self.is_running:
            self.call(self._begin(namespace.name))

    def stop_drift(self, namespace: SimulatedNamespace) -> None:
        """Stop changing the counts of a namespace."""
        self._drifts.pop(namespace.name, None)
        task = self._drifting.pop(namespace.name, None)
        if task is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(task.cancel)

    async def _begin(self, name: str) -> None:
        self._drifting[name] = asyncio.get_running_loop().create_task(self._drifts[name].run())

    # Running

    @property
    def is_running(self) -> bool:
        return self._loop is not None

    @contextlib.contextmanager
    def running(self) -> Iterator["Simulator"]:
        """Run the simulator within a `with` block."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def start(self) -> None:
        """Start the thread and return when all ports accept connections."""
        if self._loop is not None:
            raise RuntimeError("the simulator is already running")
        loop = uvloop.new_event_loop() if self._fast else asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="simulator", daemon=True)
        self._loop = loop
        self._thread.start()
        for listener in self._listeners:
            self.call(listener.open())
        for name in self._drifts:
            self.call(self._begin(name))

    def stop(self) -> None:
        """End all connections and release the ports."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            for listener in self._listeners:
                self.call(listener.close())
            self.call(_end_everything())
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=10)
            if not self._fast:  # uvloop's close() waits for peers that may never close their connections
                loop.close()
        for listener in self._listeners:
            listener.release()
        if self._temporary is not None:
            self._temporary.cleanup()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the simulator's own thread and return its result."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the simulator is not running")
        result: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return result.result(timeout=10)

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    # Ports

    def _switch(self, listener: Listener, mode: str) -> None:
        """Change a port's mode (see `Listener.switch`), immediately or when the simulator starts."""
        if self.is_running:
            self.call(listener.switch(mode))
        else:
            listener.mode = mode

    def end_connections(self) -> None:
        """End all client connections, as an endpoint does with connections that have been idle for long."""
        for listener in self._listeners:
            if not listener.is_control:
                self.call(listener.end_connections())

    def _listen_for_identity(self, *, plain: bool) -> Listener:
        """Open a port for the token endpoint; `plain`: HTTP, as managed identity endpoints are."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await serve_identity(self.identity, request)

        return self.add_listener(
            Listener(handle, None if plain else self._certificates.context(), host=self._host)
        )

    def _listen(self, namespace: SimulatedNamespace | None, port: int) -> Listener:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            asked = namespace or self._namespace_of(request.host)
            if namespace is None and identity_endpoint.handles(request.path):
                return await serve_identity(self.identity, request)
            if asked is None:
                return no_such_namespace(request)
            return await serve_namespace(asked, request)

        context = self._certificates.context()

        def choose(
            connection: ssl.SSLObject | ssl.SSLSocket, server_name: str | None, _: ssl.SSLContext
        ) -> None:
            asked = namespace or self.namespaces.get((server_name or "").partition(".")[0].lower())
            if asked is not None:
                asked.handshakes += 1
                certificate = asked.certificate()
                if certificate != "valid":
                    connection.context = self._certificates.shared_context(certificate)

        context.sni_callback = choose
        return self.add_listener(Listener(handle, context, host=self._host, port=port))

    def add_listener(self, listener: Listener) -> Listener:
        """Add a port that is opened and closed together with the others."""
        self._listeners.append(listener)
        if self.is_running:
            self.call(listener.open())
        return listener

    def _namespace_of(self, host: str) -> SimulatedNamespace | None:
        """Return the namespace of a host name; the first one for an unspecific name (localhost, an address)."""
        label = host.partition(".")[0].lower()
        named = self.namespaces.get(label)
        if named is not None or _SERVICE_SUFFIX in host.lower():
            return named
        return next(iter(self.namespaces.values()), None)


async def _end_everything() -> None:
    """End the remaining transports and tasks: no server manages connections in the middle of their handshake."""
    loop = asyncio.get_running_loop()
    for transport in list(getattr(loop, "_transports", {}).values()):
        if getattr(transport, "_loop", None) is not None:  # a closed transport has no loop
            transport.abort()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # transports close their sockets in the next iteration of the loop
