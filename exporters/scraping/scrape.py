"""One scrape from request to result: admission, the read within its deadline, the hub's own metrics.

respond(), scrape(), connection_test() and exposition() are a scrape's boundary: none of them raises, whatever an
endpoint sends and whatever bug the hub has. A bug becomes a failure with reason `internal`.
"""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

from django.conf import settings

from ..concurrency_limit import ConcurrencyLimit, Full
from ..configuration.label_rules import label_rules
from ..configuration.targets import Target
from ..models import Outcome
from ..prometheus import text
from ..prometheus.collector import SnapshotCollector
from ..servicebus import clock
from ..servicebus.entities import Snapshot
from ..servicebus.errors import Reason
from ..telemetry import internal_errors, metrics
from . import admission, reading, recording, scrape_records
from .single_flight import Origin, flights

# Concurrent scrapes of one namespace in a worker process, so that one that hangs doesn't take all places.
MAX_SCRAPES_OF_A_NAMESPACE = 64

_FULL = {
    Full.OWN: f"The hub is already running {MAX_SCRAPES_OF_A_NAMESPACE} scrapes of this namespace.",
    Full.ALL: "The hub is running as many scrapes as HUB_MAX_SCRAPES allows.",
}
_places = ConcurrencyLimit(MAX_SCRAPES_OF_A_NAMESPACE, settings.HUB_MAX_SCRAPES)
# Rendering is CPU-bound, and only one thread of a process runs Python at a time. If many threads rendered at once, the
# I/O loop and every read on it would have to wait behind all of them.
_rendering = threading.Lock()


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a scrape."""

    snapshot: Snapshot
    age_seconds: float = 0.0  # 0 unless the read was made for another scrape


@dataclass(frozen=True, slots=True)
class Exposition:
    """A result in the format that Prometheus receives."""

    body: bytes
    content_type: str
    result: Result  # a failure instead of the given result if that could not be rendered


# The answer if rendering has a bug, so nothing here may depend on the renderer.
_NOT_RENDERED = b"""# HELP servicebus_up 1 if everything was read, else 0.
# TYPE servicebus_up gauge
servicebus_up 0.0
# HELP servicebus_scrape_error 1 for each reason why the scrape failed.
# TYPE servicebus_scrape_error gauge
servicebus_scrape_error{reason="internal"} 1.0
"""
_NOT_RENDERED_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def scrape(target: Target, seconds: float) -> Result:
    """Read a namespace within `seconds` seconds. Never raises: the snapshot contains any failure."""
    full = _places.take(target.name)
    if full is not None:
        return _refused(target, _FULL[full])
    try:
        return _scrape(target, seconds)
    except Exception as error:
        with internal_errors.aside("records"):
            metrics.SCRAPES.labels(str(Outcome.FAILURE)).inc()
        return Result(_internal_error("reading", error))
    finally:
        _places.give(target.name)


def _scrape(target: Target, seconds: float) -> Result:
    # Before involving other processes: under overload, most of a hub's scrapes may be refused ones.
    if (
        reading.refuses(target, seconds)
        and not target.limits.cache_seconds
        and not flights.is_under_way(target)
    ):
        return _refused(target, admission.MESSAGE)
    started = time.monotonic()
    with internal_errors.aside("records"):
        metrics.SCRAPES_IN_FLIGHT.inc()
    try:
        answer = flights.answer(target, seconds, partial(reading.read, target), partial(_read_on, target))
    finally:
        recording.record_events(reading.take_events())
        with internal_errors.aside("records"):
            metrics.SCRAPES_IN_FLIGHT.dec()
    if answer.origin is Origin.READ:
        recording.count_bugs(answer.snapshot)
    with internal_errors.aside("records"):
        if any(failure.reason is Reason.OVERLOADED for failure in answer.snapshot.failures):
            recording.record_refusal(target, admission.MESSAGE)
            return Result(answer.snapshot, answer.age_seconds)
        if answer.origin is not Origin.READ:
            metrics.SCRAPES_SHARED.labels(answer.origin).inc()
        recording.record_scrape(target, answer.snapshot, time.monotonic() - started)
    return Result(answer.snapshot, answer.age_seconds)


def respond(target: Target, seconds: float, accept: str) -> Exposition:
    """Scrape a namespace within `seconds` seconds and record the scrape. Never raises."""
    answer = exposition(target, scrape(target, seconds), accept)
    result = answer.result
    scrape_records.remember(target.namespace_id, result.snapshot, result.age_seconds, seconds, answer.body)
    return answer


def last_result(target: Target) -> Result | None:
    """Return the last result that was kept, with its age, or None. Reads nothing from Service Bus."""
    stored = flights.last(target)
    if stored is None:
        return None
    return Result(stored.snapshot, max(0.0, clock.now() - stored.snapshot.began_at))


def forget(target: Target) -> None:
    """Drop the cached results of earlier reads. The next scrape reads everything again and carries nothing over."""
    flights.forget(target)


def connection_test(target: Target, seconds: float) -> Result:
    """Read as scrape() does, for a connection test: with admission, but without effect on later scrapes."""
    full = _places.take(target.name)
    if full is not None:
        return Result(reading.failed(Reason.OVERLOADED, _FULL[full]))
    try:
        snapshot = reading.read(target, seconds, is_connection_test=True)
        recording.count_bugs(snapshot)
        return Result(snapshot)
    except Exception as error:
        return Result(_internal_error("reading", error))
    finally:
        recording.record_events(reading.take_events())
        _places.give(target.name)


def close() -> None:
    """Close the connections to endpoints, as the process ends, and record what happened during the last reads."""
    reading.close()
    recording.record_events(reading.take_events())


def exposition(target: Target, result: Result, accept: str) -> Exposition:
    """Return the answer to a scrape, in the format that the Accept header requests."""
    try:
        collector = SnapshotCollector(
            result.snapshot,
            groups=target.groups,
            age_seconds=result.age_seconds,
            rules=label_rules(target, result.snapshot),
            max_entities=target.limits.max_entities,
        )
        answer_format = text.negotiate(accept)
        is_short = not (result.snapshot.queues or result.snapshot.topics or result.snapshot.subscriptions)
        # Short answers such as refusals don't wait for the lock.
        with nullcontext() if is_short else _rendering:
            body = text.render(collector.collect(), answer_format)
        return Exposition(body, answer_format.content_type, result)
    except Exception as error:
        failed = Result(_internal_error("rendering", error))
        return Exposition(_NOT_RENDERED, _NOT_RENDERED_TYPE, failed)


def _read_on(
    target: Target, snapshot: Snapshot, seconds: float, keep: Callable[[Snapshot | None], None]
) -> None:
    """Continue a read in the background; record what happened when it ends."""

    def ended(more: Snapshot | None) -> None:
        recording.record_events(reading.take_events())
        keep(more)

    reading.read_on(target, snapshot, seconds, ended)


def _refused(target: Target, message: str) -> Result:
    """Count a refusal, log it, and return it as a result."""
    with internal_errors.aside("records"):
        recording.record_refusal(target, message)
    return Result(reading.failed(Reason.OVERLOADED, message))


def _internal_error(where: str, error: Exception) -> Snapshot:
    internal_errors.report(where, error)
    return reading.failed(
        Reason.INTERNAL, f"The hub has a bug ({type(error).__name__}); its log has the traceback."
    )
