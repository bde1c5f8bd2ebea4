"""Host names: looked up in threads, checked against the policy, and followed when they move to another address."""

import asyncio
import contextlib
import math
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from .connection import EndpointNotAllowedError, EndpointPolicy, is_localhost
from .errors import Reason, ServiceBusError

# A name is looked up again after this long, so that a namespace that moves is found.
DNS_SECONDS = 30.0
# Concurrent look-ups. Each has a thread, which an unresponsive name server blocks for up to half a minute.
MAX_LOOK_UPS = 1_000
# How many names' addresses are kept: those of the most recently used names.
MAX_KEPT_NAMES = 20_000
# How long a request waits for a repeated look-up while there is a connection that may still work.
_PATIENCE_SECONDS = 0.25

Found = tuple[tuple[socket.AddressFamily, str], ...]


@dataclass(slots=True)
class _Name:
    found: Found | None = None  # None: no look-up has succeeded; empty: the policy refuses an address
    found_at: float = -DNS_SECONDS
    began_at: float = -DNS_SECONDS
    look_up: "asyncio.Task[Found] | None" = None
    silent_at: float = -math.inf  # when a request got no answer in time


class Names(AbstractResolver):
    """Resolves names for one client, on its loop, and refuses addresses that the policy refuses.

    Each look-up has its own thread: names with unresponsive servers could fill a pool of any size. A name has one
    look-up at a time, however many requests wait for it.
    """

    def __init__(
        self, policy: EndpointPolicy, look_up: Any = socket.getaddrinfo, seconds: float = DNS_SECONDS
    ) -> None:
        """`seconds`: after how long a name is looked up again."""
        self._policy = policy
        self._look_up = look_up
        self._seconds = seconds
        self._names: OrderedDict[str, _Name] = OrderedDict()
        self._threads = 0
        self._lock = threading.Lock()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        name = self._name(host)
        now = asyncio.get_running_loop().time()
        found = name.found
        if not found or now - name.found_at >= self._seconds:
            # Shielded: if the scrape that began the look-up is cancelled, others still wait for it.
            found = await asyncio.shield(self._renewal(host, name))
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST
            )
            for kind, address in found
            if family in {socket.AF_UNSPEC, kind}
        ]

    def is_due(self, host: str) -> bool:
        """Return whether follow() has something to do for this name."""
        name = self._names.get(host)
        if name is None:
            return False
        age = asyncio.get_running_loop().time() - name.began_at
        return age >= self._seconds or age < _PATIENCE_SECONDS

    async def follow(self, host: str) -> None:
        """Look a name up again if that is due, before an open connection is reused. Never raises for a failed look-up.

        A slow name server delays requests only briefly, once every DNS_SECONDS.
        """
        name = self._names[host]
        age = asyncio.get_running_loop().time() - name.began_at
        if age >= self._seconds:
            await asyncio.wait({self._renewal(host, name)}, timeout=_PATIENCE_SECONDS)
        elif age < _PATIENCE_SECONDS and name.look_up is not None and not name.look_up.done():
            await asyncio.wait({name.look_up}, timeout=_PATIENCE_SECONDS - age)

    def note_silence(self, host: str) -> None:
        """Record that a request got no response in time."""
        name = self._names.get(host)
        if name is not None:
            name.silent_at = asyncio.get_running_loop().time()

    def note_answer(self, host: str) -> None:
        """Record that a request got its response late, so the connections do work."""
        name = self._names.get(host)
        if name is not None:
            name.silent_at = -math.inf

    def may_use(self, host: str, address: str, made_at: float) -> bool:
        """Return whether a connection to the address, made at `made_at` (the loop's time), may be used for the name.

        It may not if the name is known to have moved. After a request without a response, no older connection may be
        used: if a firewall or a load balancer has dropped one, or the machine was suspended, the others are dead too.
        """
        name = self._names.get(host)
        if name is None:
            return True
        if made_at <= name.silent_at:
            return False
        return name.found is None or any(address == known for _, known in name.found)

    async def close(self) -> None:
        """Do nothing: look-ups under way end by themselves, and no request waits for them."""

    def _name(self, host: str) -> _Name:
        name = self._names.get(host)
        if name is None:
            name = self._names[host] = _Name()
            if len(self._names) > MAX_KEPT_NAMES:
                self._names.popitem(last=False)
        else:
            self._names.move_to_end(host)
        return name

    def _renewal(self, host: str, name: _Name) -> "asyncio.Task[Found]":
        if name.look_up is None or name.look_up.done():
            loop = asyncio.get_running_loop()
            name.began_at = loop.time()
            name.look_up = loop.create_task(self._find(host, name))
            name.look_up.add_done_callback(_retrieved)
        return name.look_up

    async def _find(self, host: str, name: _Name) -> Found:
        if is_localhost(host.lower()):
            # RFC 6761, section 6.3: such a name is this machine and is not looked up in DNS.
            found: Found = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
        else:
            answers = await self._in_a_thread(
                lambda: self._look_up(host, 0, type=socket.SOCK_STREAM, family=socket.AF_UNSPEC)
            )
            found = tuple((answer[0], str(answer[4][0])) for answer in answers)
        try:
            for _, address in found:
                self._policy.check_address(address)
        except EndpointNotAllowedError:
            name.found = ()  # rules out connections to its former addresses
            raise
        name.found, name.found_at = found, asyncio.get_running_loop().time()
        return found

    async def _in_a_thread(self, work: Callable[[], Any]) -> Any:
        """Run `work` in a daemon thread, which doesn't delay the end of the process, and return its result."""
        with self._lock:
            if self._threads >= MAX_LOOK_UPS:
                raise ServiceBusError(
                    Reason.DNS, f"The hub is already waiting for {MAX_LOOK_UPS} DNS lookups."
                )
            self._threads += 1
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def tell(result: Any, error: Exception | None) -> None:
            if future.done():  # the client was closed
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        def run() -> None:
            result, error = None, None
            try:
                result = work()
            except Exception as failure:
                error = failure
            with self._lock:
                self._threads -= 1
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(tell, result, error)

        try:
            threading.Thread(target=run, name="dns", daemon=True).start()
        except RuntimeError:  # the system allows no further thread
            with self._lock:
                self._threads -= 1
            raise ServiceBusError(Reason.DNS, "The system can't start a thread for a DNS lookup.") from None
        return await future


def _retrieved(task: "asyncio.Task[Found]") -> None:
    """Keep asyncio from reporting a failure that no request waits for any more."""
    if not task.cancelled():
        task.exception()
