"""Reads of namespaces from any thread, on the I/O loop of the worker process and with its HTTPS client."""

import asyncio
import contextlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, TypeVar

from django.conf import settings

from ..configuration.targets import Target
from ..credentials.endpoints import policy
from ..servicebus import background_read, clock
from ..servicebus.client import Client
from ..servicebus.connection import Endpoint
from ..servicebus.entities import Failure, Snapshot
from ..servicebus.errors import Reason, ServiceBusError
from ..servicebus.events import Event, Events, take
from ..servicebus.loop import IoLoop
from ..servicebus.reachability import Handshake, look_up, shake_hands
from ..servicebus.read_options import ReadOptions
from ..servicebus.reader import read_namespace
from ..shared_state import shared
from ..telemetry import internal_errors
from . import live_credentials
from .admission import Admission
from .budgets import budget_for

# How long the loop may take to return its results after the deadline; the reserve in the request's own deadline covers
# it.
_GRACE_SECONDS = 0.3
# Limit for data kept per namespace between reads; the most recently read ones stay. A hub is designed for half as many.
MAX_KEPT_NAMESPACES = 20_000

T = TypeVar("T")

logger = logging.getLogger(__name__)

_io = IoLoop()
# What has happened during reads and was not taken yet.
_events: Events = Events()
os.register_at_fork(after_in_child=_events.clear)  # the parent process records its own
_client: Client | None = None
_admission: Admission | None = None
# Only used on the I/O loop.
_known_pages: "OrderedDict[str, dict[str, int]]" = OrderedDict()


def read(
    target: Target,
    seconds: float,
    last_read: Callable[[], Snapshot | None] | None = None,
    *,
    is_connection_test: bool = False,
) -> Snapshot:
    """Read a namespace and return what was learned within `seconds` seconds.

    Never raises for a failure; the snapshot has it. The read may have to wait for its turn. It fails with reason
    `overloaded` if it would not finish in time. `last_read` is called if the budget doesn't allow reading everything.
    A connection test has no effect on later reads.
    """
    started = time.monotonic()
    if target.problem is not None:
        return failed(target.problem.reason, target.problem.message)
    try:
        return _io.run(
            _read(target, started, seconds, last_read, is_connection_test=is_connection_test),
            seconds + _GRACE_SECONDS,
        )
    except TimeoutError:
        # The loop itself is late: the process has more work than its share of the machine allows.
        return failed(Reason.TIMEOUT, "The hub did not finish in time.", time.monotonic() - started)


def refuses(target: Target, seconds: float) -> bool:
    """Return whether a read with `seconds` seconds would be refused immediately. Costs almost nothing."""
    return _admission is not None and _io.is_running() and _admission.refuses(target, seconds)


def read_on(
    target: Target, snapshot: Snapshot, seconds: float, keep: Callable[[Snapshot | None], None]
) -> None:
    """Continue a read that the budget cut short, in the background for `seconds` seconds; pass the result to `keep`."""
    _io.begin(_read_on(target, snapshot, seconds, keep))


def failed(reason: Reason, message: str, duration_seconds: float = 0.0) -> Snapshot:
    """Return the snapshot of a scrape that read nothing."""
    return Snapshot(
        collectors={"namespace": Failure(reason, message)},
        duration_seconds=duration_seconds,
        read_at=time.time(),
        began_at=clock.now(),
    )


def take_events() -> Iterator[Event]:
    """Take what has happened during reads since the last call, by this thread or another one."""
    return take(_events)


def endpoint(target: Target) -> Endpoint:
    """Return a target's endpoint; raise ServiceBusError if it has a problem."""
    if target.problem is not None:
        raise ServiceBusError(target.problem.reason, target.problem.message)
    assert target.endpoint is not None  # noqa: S101 - otherwise, there is a problem
    return target.endpoint


def addresses(of: Endpoint, seconds: float) -> list[str]:
    """Look up the endpoint's host, as a read does; raise ServiceBusError."""
    return _step(lambda: look_up(_the_client(), of), Reason.DNS, "The name server", seconds)


def handshake(of: Endpoint, at: list[str], seconds: float) -> Handshake:
    """Connect to one of the endpoint's addresses as a read does, then close; raise ServiceBusError."""
    return _step(lambda: shake_hands(_the_client(), of, at), Reason.CONNECTION, str(of), seconds)


def _step(work: Callable[[], Coroutine[Any, Any, T]], reason: Reason, who: str, seconds: float) -> T:
    async def on_the_loop() -> T:
        return await asyncio.wait_for(work(), seconds)  # the client must be created on the loop

    try:
        return _io.run(on_the_loop(), seconds + _GRACE_SECONDS)
    except TimeoutError:
        raise ServiceBusError(reason, f"{who} did not respond within {seconds:g} s.") from None


def close() -> None:
    """Close everything; the next read starts again with the settings at that time."""
    if _io.is_running():
        with contextlib.suppress(TimeoutError):
            _io.run(_close(), timeout=2)
        _io.stop()


async def _read(
    target: Target,
    asked_at: float,
    seconds: float,
    last_read: Callable[[], Snapshot | None] | None,
    *,
    is_connection_test: bool,
) -> Snapshot:
    loop = asyncio.get_running_loop()
    # The loop's delay in starting this read counts toward its time.
    deadline = loop.time() + asked_at + seconds - time.monotonic()
    admission = _the_admission()
    try:
        async with admission.admitted(
            target, asked_at, asked_at + seconds, is_connection_test=is_connection_test
        ):
            source = _source(target, {} if is_connection_test else _pages_of(target), last_read)
            budget = budget_for(target, source.endpoint.service, shared(), _events)
            snapshot = await read_namespace(source, _the_client(), deadline=deadline, budget=budget)
        if not is_connection_test:
            admission.learn(target, snapshot)
        return snapshot
    except ServiceBusError as error:
        return failed(error.reason, error.message)


def _source(
    target: Target, known_pages: dict[str, int], last_read: Callable[[], Snapshot | None] | None = None
) -> ReadOptions:
    """Return what to read, and how; raise ServiceBusError if that is a problem."""
    return ReadOptions(
        endpoint=endpoint(target),
        credential=live_credentials.credential_of(target, _the_client().token_transport, _events),
        entity_path=target.connection.entity_path if target.connection is not None else "",
        include=target.include,
        exclude=target.exclude,
        concurrency=target.limits.concurrency,
        max_entities=target.limits.max_entities,
        known_pages=known_pages,
        # In a thread, because it may wait for a network and takes some milliseconds for a large namespace.
        last_read=partial(asyncio.to_thread, last_read) if last_read is not None else None,
        max_age_seconds=target.limits.max_age_seconds,
    )


def _pages_of(target: Target) -> dict[str, int]:
    """Return the page cache of a namespace.

    Least recently used entries are dropped, including those of deleted namespaces.
    """
    known = _known_pages.setdefault(target.name, {})
    _known_pages.move_to_end(target.name)
    if len(_known_pages) > MAX_KEPT_NAMESPACES:
        _known_pages.popitem(last=False)
    return known


async def _read_on(
    target: Target,
    snapshot: Snapshot,
    seconds: float,
    keep: Callable[[Snapshot | None], None],
) -> None:
    until = asyncio.get_running_loop().time() + seconds
    more: Snapshot | None = None
    with internal_errors.aside("background"):
        try:
            source = _source(target, _pages_of(target))
            budget = budget_for(target, source.endpoint.service, shared(), _events)
            more = await background_read.read_on(source, _the_client(), snapshot, until=until, budget=budget)
        except ServiceBusError as error:
            logger.debug("Stopped reading %s: %s", target.name, error.message)
        finally:
            await asyncio.to_thread(keep, more)


def _the_client() -> Client:
    global _client
    if _client is None or _client.session.closed:
        _client = Client(policy(), settings.HUB_CA_FILE, events=_events)
    return _client


def _the_admission() -> Admission:
    global _admission
    if _admission is None:
        _admission = Admission()
    return _admission


async def _close() -> None:
    global _admission, _client
    # Reads that continue in the background.
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    _admission = None
    _known_pages.clear()
    await live_credentials.close()
    if _client is not None:
        await _client.close()
        _client = None
