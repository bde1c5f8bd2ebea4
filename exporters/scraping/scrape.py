"""One scrape from request to result: admission, the read within its deadline, the hub's own metrics.

scrape(), try_out() and exposition() are a scrape's boundary: none of them raises, whatever an endpoint sends and
whatever bug the hub has. A bug becomes a failure with reason `internal`.
"""

import logging
import math
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

from django.conf import settings

from ..configuration.label_rules import label_rules
from ..configuration.targets import Target
from ..models import Outcome
from ..prometheus import text
from ..prometheus.collector import SnapshotCollector
from ..servicebus import clock
from ..servicebus.entities import Snapshot
from ..servicebus.errors import Reason
from ..telemetry import internal_errors, metrics
from . import admission, history, upstream
from .places import OWN_PLACES_TAKEN, Places
from .single_flight import Origin, flights

logger = logging.getLogger(__name__)

# Concurrent scrapes of one namespace in a worker process, so that one that hangs doesn't take all places.
MAX_SCRAPES_OF_A_NAMESPACE = 64

_places = Places(MAX_SCRAPES_OF_A_NAMESPACE, settings.HUB_MAX_SCRAPES)
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
    refusal = _places.take(target.name)
    if refusal:
        with internal_errors.aside("records"):
            metrics.SCRAPES.labels("refused").inc()
        return Result(_refused(refusal))
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
        upstream.refuses(target, seconds)
        and not target.limits.cache_seconds
        and not flights.is_under_way(target)
    ):
        with internal_errors.aside("records"):
            metrics.SCRAPES.labels("refused").inc()
            _say_overloaded()
        return Result(upstream.failed(Reason.OVERLOADED, admission.MESSAGE))
    started = time.monotonic()
    with internal_errors.aside("records"):
        metrics.SCRAPES_IN_FLIGHT.inc()
    try:
        answer = flights.answer(
            target, seconds, partial(upstream.read, target), partial(upstream.read_on, target)
        )
    finally:
        with internal_errors.aside("records"):
            metrics.SCRAPES_IN_FLIGHT.dec()
    if answer.origin is Origin.READ:
        _count_bugs(answer.snapshot)
    with internal_errors.aside("records"):
        if _is_refused(answer.snapshot):
            metrics.SCRAPES.labels("refused").inc()
            _say_overloaded()
            return Result(answer.snapshot, answer.age_seconds)
        if answer.origin is not Origin.READ:
            metrics.SCRAPES_SHARED.labels(answer.origin).inc()
        _record(target, answer.snapshot, time.monotonic() - started)
    return Result(answer.snapshot, answer.age_seconds)


def last_result(target: Target) -> Result | None:
    """Return the last result that was kept, with its age, or None. Reads nothing from Service Bus."""
    stored = flights.last(target)
    if stored is None:
        return None
    return Result(stored.snapshot, max(0.0, clock.now() - stored.snapshot.began_at))


def forget(target: Target) -> None:
    """Drop the cached results of earlier reads. The next scrape reads everything again and carries nothing over."""
    flights.forget(target)


def try_out(target: Target, seconds: float) -> Result:
    """Read as scrape() does, for a connection test: with admission, but without effect on later scrapes."""
    refusal = _places.take(target.name)
    if refusal:
        return Result(_refused(refusal))
    try:
        snapshot = upstream.read(replace(target, name=""), seconds)
        _count_bugs(snapshot)
        return Result(snapshot)
    except Exception as error:
        return Result(_internal_error("reading", error))
    finally:
        _places.give(target.name)


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


def _count_bugs(snapshot: Snapshot) -> None:
    """Count the collectors that a bug stopped. The reader has logged their tracebacks."""
    for failure in snapshot.collectors.values():
        if failure is not None and failure.reason is Reason.INTERNAL:
            internal_errors.count("reading")


def _internal_error(where: str, error: Exception) -> Snapshot:
    internal_errors.report(where, error)
    return upstream.failed(
        Reason.INTERNAL, f"The hub has a bug ({type(error).__name__}); its log has the traceback."
    )


def _refused(status: int) -> Snapshot:
    if status == OWN_PLACES_TAKEN:
        message = f"The hub runs {MAX_SCRAPES_OF_A_NAMESPACE} scrapes of this namespace already."
    else:
        message = "The hub runs as many scrapes as HUB_MAX_SCRAPES allows."
    return upstream.failed(Reason.OVERLOADED, message)


# The last logged failure reasons of each failing namespace: a line per scrape would bury the changes. Kept per process,
# so a hub with two workers logs each change at most twice.
_said: dict[str, str] = {}
_saying = threading.Lock()


# When refusals were last logged (monotonic), and how many there have been since then.
_overloaded_said_at = -math.inf
_refused_since = 0
_OVERLOADED_SECONDS = 30.0


def _is_refused(snapshot: Snapshot) -> bool:
    return any(
        failure is not None and failure.reason is Reason.OVERLOADED
        for failure in snapshot.collectors.values()
    )


def _say_overloaded() -> None:
    """Log refusals in batches: a line for each would add work to an overloaded hub."""
    global _overloaded_said_at, _refused_since
    with _saying:
        _refused_since += 1
        now = time.monotonic()
        if now - _overloaded_said_at < _OVERLOADED_SECONDS:
            return
        number, _refused_since, _overloaded_said_at = _refused_since, 0, now
    logger.warning(
        "Scrapes are refused (overloaded): %d since the last such line. %s", number, admission.MESSAGE
    )


def _record(target: Target, snapshot: Snapshot, seconds: float) -> None:
    failures = [failure for failure in snapshot.collectors.values() if failure is not None]
    metrics.SCRAPES.labels(str(history.outcome(snapshot))).inc()
    metrics.SCRAPE_DURATION.observe(seconds)
    reasons = ", ".join(sorted({str(failure.reason) for failure in failures}))
    with _saying:
        before = _said.pop(target.name, "")
        if reasons:
            _said[target.name] = reasons
            if len(_said) > upstream.MAX_KEPT_NAMESPACES:
                del _said[next(iter(_said))]  # the one whose last failure is oldest; it may be deleted
    if reasons != before:
        if failures:
            messages = "; ".join(sorted({f"{failure.reason}: {failure.message}" for failure in failures}))
            logger.warning("Scrapes of %s fail: %s", target.name, messages)
        else:
            logger.info("Scrapes of %s are whole again", target.name)
    logger.debug(
        "Scraped %s in %.3f s with %d requests: %s",
        target.name,
        seconds,
        snapshot.requests,
        reasons or "whole",
    )
