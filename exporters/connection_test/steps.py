"""The steps of a connection test after the read: authorization, SKU, entities, timeout and budget."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from ..configuration.targets import Target
from ..formatting import seconds_text
from ..servicebus.connection import ConnectionString
from ..servicebus.entities import Failure, Snapshot
from ..servicebus.errors import TOO_SLOW, Reason
from ..servicebus.request_rate import Allowance
from .advice import fix

PARSED, NAME, TLS, AUTHORISED, SKU = "Connection string", "Name resolution", "TLS", "Authorization", "SKU"
ENTITIES, TIME, BUDGET = "Entities", "Timeout", "Budget"

# Each management request costs 10 of a Standard namespace's 1,000 credits per second.
_CREDITS_PER_REQUEST, _CREDITS = 10, 1000
# Prometheus's default, to calculate a scrape's share of the interval.
_INTERVAL_SECONDS = 60.0
# The steps that a read can fail at before it has read anything; with any other reason, it fails at the entities.
_STEP_OF = {
    Reason.CREDENTIAL: AUTHORISED,
    Reason.UNAUTHORIZED: AUTHORISED,
    Reason.FORBIDDEN: AUTHORISED,
    Reason.NOT_FOUND: AUTHORISED,
    Reason.TIMEOUT: TIME,
    Reason.OVERLOADED: TIME,
    Reason.THROTTLED: BUDGET,
    Reason.BUDGET: BUDGET,
}


class StepState(StrEnum):
    """How a step ended; also its CSS class."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the test: its name, the finding, its duration in seconds, and how to fix a failure."""

    name: str
    state: StepState
    detail: str
    seconds: float | None = None
    fix: str = ""


def after_the_read(snapshot: Snapshot, target: Target, allowed: float) -> Iterator[Step]:
    """Yield the steps that a read decides, in display order."""
    # Anything that was read proves that the credential works.
    anything = bool(snapshot.info or snapshot.queues or snapshot.topics)
    first = next(iter(snapshot.failures), None)
    if not anything and first is not None:
        at = _STEP_OF.get(first.reason, ENTITIES)
        for name in (AUTHORISED, SKU, ENTITIES, TIME, BUDGET):
            if name == at:
                yield _failed(name, first, target, snapshot.duration_seconds)
            else:
                yield Step(name, StepState.SKIPPED, "skipped")
        return
    yield _authorised(target.connection)
    yield _sku(snapshot, target.connection)
    yield _entities(snapshot, first, target)
    yield _time(snapshot, allowed, first)
    yield _budget(snapshot, target, allowed)


def _authorised(connection: ConnectionString | None) -> Step:
    if connection is None:
        return Step(AUTHORISED, StepState.GOOD, "Service Bus accepts the token.")
    if connection.entity_path:
        return Step(AUTHORISED, StepState.GOOD, f"The key grants access to “{connection.entity_path}” only.")
    return Step(AUTHORISED, StepState.GOOD, "Service Bus accepts the key, and it has the Manage right.")


def _sku(snapshot: Snapshot, connection: ConnectionString | None) -> Step:
    if snapshot.info is None or snapshot.info.sku is None:
        if connection is not None and connection.entity_path:
            return Step(SKU, StepState.SKIPPED, "An entity's key can't read the namespace's properties.")
        return Step(SKU, StepState.WARN, "Service Bus did not return it.")
    units = snapshot.info.messaging_units
    plural = "s" if units != 1 else ""
    return Step(
        SKU, StepState.GOOD, snapshot.info.sku + (f", {units} messaging unit{plural}" if units else "")
    )


def _entities(snapshot: Snapshot, failure: Failure | None, target: Target) -> Step:
    detail = (
        f"{_count(len(snapshot.queues), 'queue')}, {_count(len(snapshot.topics), 'topic')}, "
        f"{_count(len(snapshot.subscriptions), 'subscription')} in {_count(snapshot.requests, 'request')}"
    )
    left_out = [f"{count} {_LEFT_OUT.get(reason, reason)}" for reason, count in snapshot.dropped.items()]
    if left_out:
        detail += f" ({', '.join(left_out)})"
    if failure is not None:
        found = _failed(ENTITIES, failure, target, snapshot.duration_seconds)
        return replace(found, detail=f"Incomplete: {detail}. {found.detail}")
    if snapshot.throttled_requests:
        throttled = f"{_count(snapshot.throttled_requests, 'request')} throttled"
        return Step(ENTITIES, StepState.WARN, f"{detail}, {throttled}", snapshot.duration_seconds)
    if not (snapshot.queues or snapshot.topics):
        return Step(
            ENTITIES,
            StepState.WARN,
            f"{detail}: nothing to export",
            snapshot.duration_seconds,
            "Check include and exclude." if snapshot.dropped else "",
        )
    return Step(ENTITIES, StepState.GOOD, detail, snapshot.duration_seconds)


_LEFT_OUT = {
    "filtered": "filtered by include and exclude",
    "duplicate": "listed twice",
    "limit": "above the entity limit",
    "rule": "dropped by label rules",
}


def _time(snapshot: Snapshot, allowed: float, failure: Failure | None) -> Step:
    took = f"{seconds_text(snapshot.duration_seconds)} of {seconds_text(allowed)}"
    raise_it = "Raise Prometheus's scrape_timeout and the namespace's timeout, or exclude entities."
    if failure is not None and failure.reason in TOO_SLOW:
        return Step(
            TIME,
            StepState.BAD,
            f"{took} was not enough.",
            fix=raise_it,
        )
    if snapshot.duration_seconds > 0.8 * allowed:
        return Step(TIME, StepState.WARN, f"Close to the limit: {took}.", fix=raise_it)
    return Step(TIME, StepState.GOOD, f"{took}.")


def _budget(snapshot: Snapshot, target: Target, allowed: float) -> Step:
    """Return what the budget means for a full read: its minimum duration, and its cost to the namespace."""
    sku = snapshot.info.sku if snapshot.info else None
    allowance = Allowance(target.limits.requests_per_second, target.limits.burst)
    rate, burst = allowance.rate(sku or ""), allowance.size(sku or "")
    least = max(0, snapshot.requests - burst) / rate
    detail = f"{_count(snapshot.requests, 'request')} at {rate:g} per second: " + (
        "within the budget." if least <= 0 else f"a full read takes at least {seconds_text(least)}."
    )
    if sku == "Standard":
        share = min(1.0, snapshot.requests / rate) * rate * _CREDITS_PER_REQUEST / _CREDITS
        interval = target.scrape_interval_seconds or _INTERVAL_SECONDS
        detail += (
            f" A read uses up to {share:.0%} of the namespace's credits while it runs, and "
            f"{snapshot.requests * _CREDITS_PER_REQUEST / (_CREDITS * interval):.1%} over a scrape interval of "
            f"{interval:g} s."
        )
    if least > allowed:
        return Step(
            BUDGET,
            StepState.BAD,
            detail + f" Only {seconds_text(allowed)} is allowed.",
            fix="Raise the timeout or the requests per second, or exclude entities.",
        )
    return Step(BUDGET, StepState.WARN if least > 0.8 * allowed else StepState.GOOD, detail)


def _failed(name: str, failure: Failure, target: Target, seconds: float | None) -> Step:
    return Step(name, StepState.BAD, failure.message, seconds, fix(failure.reason, target.credential))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"
