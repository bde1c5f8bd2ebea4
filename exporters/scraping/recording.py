"""What the hub's own metrics and log say about scrapes, and about what happened during their reads."""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Iterable

from ..configuration.targets import Target
from ..servicebus.entities import Snapshot
from ..servicebus.errors import Reason
from ..servicebus.events import Answered, Event, SpareUsed, ThrottlingBegan, ThrottlingEnded
from ..telemetry import internal_errors, metrics
from . import last_uses, reading, scrape_records

logger = logging.getLogger(__name__)


def count_bugs(snapshot: Snapshot) -> None:
    """Count the collectors that a bug stopped. The reader has logged their tracebacks."""
    for failure in snapshot.failures:
        if failure.reason is Reason.INTERNAL:
            internal_errors.count("reading")


def record_events(happened: Iterable[Event]) -> None:
    """Count and log what happened during reads. Never raises."""
    events = list(happened)
    answers = Counter(event.status for event in events if isinstance(event, Answered))
    with internal_errors.aside("records"):
        for status, number in answers.items():
            metrics.upstream_answered(status, number)
    if answers.total() < len(events):
        for event in events:
            with internal_errors.aside("records"):
                _record_event(event)


def _record_event(event: Event) -> None:
    match event:
        case SpareUsed(credential_id=0):
            pass  # a test of an unsaved credential
        case SpareUsed(credential_id, name, team):
            metrics.SPARE_USED.labels(name, team).inc()
            last_uses.spares.note(credential_id)
        case ThrottlingBegan(name, requests_per_second, pause_seconds):
            metrics.THROTTLING_EPISODES.inc()
            logger.warning(
                "Service Bus throttles %s: pausing for %.1f s, then continuing at %.3g requests per second",
                name,
                pause_seconds,
                requests_per_second,
            )
        case ThrottlingEnded(name):
            logger.info("%s is read at full rate again", name)


# The last logged failure reasons of each failing namespace: a line per scrape would bury the changes. Kept per process,
# so a hub with two workers logs each change at most twice.
_said: dict[str, str] = {}
_saying = threading.Lock()

# For each message of a refusal, when it was last logged (monotonic) and how many there have been since then.
_refusals: dict[str, tuple[float, int]] = {}
_REFUSALS_SECONDS = 30.0


def record_refusal(target: Target, message: str) -> None:
    """Count a refused scrape. Log refusals in batches: a line for each would add work to an overloaded hub."""
    metrics.SCRAPES.labels("refused").inc()
    with _saying:
        said_at, since = _refusals.get(message, (-math.inf, 0))
        now = time.monotonic()
        is_due = now - said_at >= _REFUSALS_SECONDS
        _refusals[message] = (now, 0) if is_due else (said_at, since + 1)
    if is_due:
        logger.warning(
            "Refusing scrapes (overloaded): %d since the last such message, the latest of %s. %s",
            since + 1,
            target.name,
            message,
        )


def record_scrape(target: Target, snapshot: Snapshot, seconds: float) -> None:
    failures = snapshot.failures
    metrics.SCRAPES.labels(str(scrape_records.outcome(snapshot))).inc()
    metrics.SCRAPE_DURATION.observe(seconds)
    reasons = ", ".join(sorted({str(failure.reason) for failure in failures}))
    with _saying:
        before = _said.pop(target.name, "")
        if reasons:
            _said[target.name] = reasons
            if len(_said) > reading.MAX_KEPT_NAMESPACES:
                del _said[next(iter(_said))]  # the one whose last failure is oldest; it may be deleted
    if reasons != before:
        if failures:
            messages = "; ".join(sorted({f"{failure.reason}: {failure.message}" for failure in failures}))
            logger.warning("Scrapes of %s fail: %s", target.name, messages)
        else:
            logger.info("Scrapes of %s succeed again", target.name)
    logger.debug(
        "Scraped %s in %.3f s with %d requests: %s",
        target.name,
        seconds,
        snapshot.requests,
        reasons or "whole",
    )
