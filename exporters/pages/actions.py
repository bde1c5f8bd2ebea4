"""Actions on one or more namespaces from the web: pause, resume, scrape now, test, clear the cache.

Callers check permissions. Each function returns one ActionResult per namespace.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..configuration import derivation
from ..configuration.targets import Target
from ..connection_test import run
from ..models import Namespace, Source
from ..scraping import last_reading, scrape_records
from ..scraping.scrape import forget, respond
from ..servicebus.entities import Snapshot

# Concurrent reads. Each waits for Service Bus and has its own budget; more would only increase the page's memory use.
_AT_ONCE = 8
# For all reads of one action. Proxies usually give up on a page after a minute.
_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class ActionResult:
    """How an action ended for one namespace. `problem` is a short reason, `detail` the full message."""

    namespace: str
    ok: bool
    problem: str = ""
    detail: str = ""


def pause(namespaces: Iterable[Namespace]) -> list[ActionResult]:
    """Stop scraping: /metrics/<name> returns 404 and service discovery omits the target."""
    return [_switch(namespace, enabled=False) for namespace in namespaces]


def resume(namespaces: Iterable[Namespace]) -> list[ActionResult]:
    """Resume scraping."""
    return [_switch(namespace, enabled=True) for namespace in namespaces]


def scrape_now(namespaces: Iterable[Namespace]) -> list[ActionResult]:
    """Scrape as Prometheus would, and record the result. Paused namespaces are skipped."""
    outcomes = in_parallel(_scrape, [derivation.target(namespace) for namespace in namespaces])
    scrape_records.settle()  # the next page shows this scrape
    return outcomes


def test(namespaces: Iterable[Namespace]) -> list[ActionResult]:
    """Run a connection test for each namespace. Records nothing, and works for paused namespaces too."""
    return in_parallel(_connection_test, [derivation.target(namespace) for namespace in namespaces])


def clear_cache(namespaces: Iterable[Namespace]) -> list[ActionResult]:
    """Drop the cached results of earlier reads. The next scrape reads everything again and carries nothing over."""
    outcomes = []
    for namespace in namespaces:
        target = derivation.target(namespace)
        forget(target)
        last_reading.forget_one(target)
        outcomes.append(ActionResult(namespace.name, ok=True))
    return outcomes


def in_parallel(
    work: Callable[[Target, float], ActionResult], targets: Sequence[Target]
) -> list[ActionResult]:
    """Run `work` for each target, several at a time, within 25 s for all of them.

    `work` gets the target and the number of seconds that it may take. It runs in a thread and must not use the
    database.
    """
    deadline = time.monotonic() + _SECONDS

    def one(target: Target) -> ActionResult:
        left = deadline - time.monotonic()
        if left < 0.5:
            return ActionResult(target.name, ok=False, problem="not started in time")
        return work(target, min(left, target.limits.timeout_seconds))

    if not targets:
        return []
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(targets)), thread_name_prefix="action") as pool:
        return list(pool.map(one, targets))


def report(outcomes: Sequence[ActionResult]) -> str:
    """Return the outcomes in one line, for example: 3 ok, 1 failed: payments-stage unauthorized."""
    failed = [outcome for outcome in outcomes if not outcome.ok]
    line = f"{len(outcomes) - len(failed)} ok"
    if failed:
        line += f", {len(failed)} failed: " + ", ".join(f"{each.namespace} {each.problem}" for each in failed)
    return line


def _switch(namespace: Namespace, *, enabled: bool) -> ActionResult:
    if namespace.source == Source.FILE:
        return ActionResult(namespace.name, ok=False, problem="comes from hub.yaml; pause or resume it there")
    if namespace.enabled != enabled:
        namespace.enabled = enabled
        namespace.save(update_fields=["enabled"])
    return ActionResult(namespace.name, ok=True)


def _scrape(target: Target, seconds: float) -> ActionResult:
    if not target.enabled:
        return ActionResult(target.name, ok=False, problem="paused")
    return _outcome(target, respond(target, seconds, "").result.snapshot)


def _connection_test(target: Target, seconds: float) -> ActionResult:
    done = run.run(target, seconds)
    outcome = _outcome(target, done.snapshot)
    if outcome.ok and not done.ok:  # it failed before the read
        step = next(each for each in done.steps if each.state is run.StepState.BAD)
        return ActionResult(target.name, ok=False, problem=f"({step.detail})", detail=step.fix)
    return outcome


def _outcome(target: Target, snapshot: Snapshot) -> ActionResult:
    for failure in snapshot.failures:
        return ActionResult(target.name, ok=False, problem=str(failure.reason), detail=failure.message)
    return ActionResult(target.name, ok=True)
