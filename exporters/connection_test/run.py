"""The connection test: run a scrape of a namespace step by step, before it is saved or at any later time.

It works like a scrape (derivation.target(), the same admission, connections and budget) but stores nothing, and its
texts contain no secrets.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils import timezone

from .. import formatting
from ..configuration.targets import Target
from ..scraping import reading, scrape
from ..scraping.scrape_records import count_series
from ..servicebus.connection import ConnectionString, Endpoint
from ..servicebus.entities import Failure, Snapshot
from ..servicebus.errors import Reason, ServiceBusError
from ..servicebus.reachability import Handshake
from ..telemetry import internal_errors
from .advice import fix
from .steps import AUTHORISED, BUDGET, ENTITIES, NAME, PARSED, SKU, TIME, TLS, Step, StepState, after_the_read

__all__ = ["ConnectionTest", "Step", "StepState", "follow", "run"]

STEPS = (PARSED, NAME, TLS, AUTHORISED, SKU, ENTITIES, TIME, BUDGET)
# Timeout for the name lookup, and for connecting; normally, each takes milliseconds.
_STEP_SECONDS = 5.0
# More than fits on a screen, and enough to show what the series look like.
_LINES = 60


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """The result: all steps, then what Prometheus would get, if anything was read."""

    steps: tuple[Step, ...]
    exposition: str = ""  # the first lines
    cut: bool = False  # whether there are more lines
    series: int = 0
    snapshot: Snapshot = field(default_factory=Snapshot)

    @property
    def ok(self) -> bool:
        return all(step.state is not StepState.BAD for step in self.steps)

    @property
    def problem(self) -> str:
        """The first failure in one line; empty if there is none."""
        return next((step.detail for step in self.steps if step.state is StepState.BAD), "")


def run(target: Target, seconds: float | None = None) -> ConnectionTest:
    """Test the target and return the result when done; `seconds` as in follow()."""
    *_, last = follow(target, seconds)
    assert isinstance(last, ConnectionTest)  # noqa: S101 - follow() ends with one
    return last


def follow(target: Target, seconds: float | None = None) -> Iterator[Step | ConnectionTest]:
    """Yield each step as it ends, then the whole result. Uses no database, so that it can be streamed.

    `seconds` is the time that the read may take; by default, what Prometheus would allow.
    """
    allowed = target.time_allowed(target.scrape_timeout_seconds) if seconds is None else seconds
    steps: list[Step] = []
    began = time.monotonic()

    def note(step: Step) -> Step:
        steps.append(step)
        return step

    try:
        endpoint = reading.endpoint(target)
        yield note(
            Step(PARSED, StepState.GOOD, _said_of(endpoint, target.connection), time.monotonic() - began)
        )
        began = time.monotonic()
        found = reading.addresses(endpoint, _STEP_SECONDS)
        yield note(Step(NAME, StepState.GOOD, _listed(found), time.monotonic() - began))
        began = time.monotonic()
        yield note(_tls(reading.handshake(endpoint, found, _STEP_SECONDS), began))
    except Exception as error:
        failure = _failure(error)
        advice = fix(failure.reason, target.credential)
        yield note(Step(STEPS[len(steps)], StepState.BAD, failure.message, time.monotonic() - began, advice))
        for name in STEPS[len(steps) :]:
            yield note(Step(name, StepState.SKIPPED, "skipped"))
        yield ConnectionTest(tuple(steps))
        return
    result = scrape.connection_test(target, allowed)
    answer = scrape.exposition(target, result, "")
    for step in after_the_read(answer.result.snapshot, target, allowed):
        yield note(step)
    lines = answer.body.decode().splitlines()
    shown, cut = "\n".join(lines[:_LINES]), len(lines) > _LINES
    yield ConnectionTest(tuple(steps), shown, cut, count_series(answer.body), answer.result.snapshot)


def _failure(error: Exception) -> Failure:
    if isinstance(error, ServiceBusError):
        return Failure(error.reason, error.message)
    internal_errors.report("reading", error)
    return Failure(Reason.INTERNAL, f"The hub has a bug ({type(error).__name__}); its log has the traceback.")


def _said_of(endpoint: Endpoint, connection: ConnectionString | None) -> str:
    parts = [str(endpoint)]
    if connection is not None and connection.key_name:
        parts.append(f"key {connection.key_name}")
    if connection is not None and connection.signature:
        parts.append("a shared access signature")
    if connection is not None and connection.entity_path:
        parts.append(f"for {connection.entity_path} only")
    return ", ".join(parts)


def _listed(addresses: list[str]) -> str:
    more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
    return ", ".join(addresses[:3]) + more


def _tls(made: Handshake, began: float) -> Step:
    seconds = time.monotonic() - began
    if not made.version:
        return Step(TLS, StepState.WARN, f"none: plain HTTP with {made.address}", seconds)
    detail = f"{made.version} with {made.address}"
    if made.certificate_expires is not None:
        left = made.certificate_expires - timezone.now()
        detail += f", certificate valid for {formatting.words(left.total_seconds())}"
    return Step(TLS, StepState.GOOD, detail, seconds)
