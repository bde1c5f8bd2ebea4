"""`python -m bench.attacks`: endpoints that attack the hub while it scrapes 20 healthy namespaces.

A deployed hub (gunicorn with two workers, PostgreSQL, Redis) scrapes 20 namespaces of 100 queues once per second. At
the same time, two clients scrape each attack of tests/support/hostile.py in turn; at the end, all attacks run at once
with one client each. Prints a row per attack: the outcomes of the attack's scrapes, the duration of the healthy
scrapes, and the size of the largest worker. Exits with 1 if a healthy scrape failed or took longer than 1 s, if a
worker grew beyond 500 MiB, if an attack's scrape was answered with anything but 200 within its timeout, or if the hub
logged a traceback.
"""

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from tests.support.hostile import ATTACKS
from tests.support.hubs import Hostile, Hub, Simulated, deployed_settings, quantile
from tests.support.series import Series, is_up, reasons_of, scrape_of
from tests.support.servers import PostgreSQL, Redis

HEALTHY = 20
QUEUES = 100
HEALTHY_LIMIT_SECONDS = 1.0
MEMORY_LIMIT_MIB = 500
TIMEOUT_SECONDS = 5.0
CLIENTS = 2
_MEBIBYTE = 1024 * 1024


class Memory:
    """The largest resident size of a worker, sampled four times per second."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._over = threading.Event()
        self._most = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.25):
            for worker in self._hub.workers():
                try:
                    self._most = max(self._most, worker.memory_info().rss)
                except psutil.Error:  # the worker has just exited
                    continue

    def close(self) -> float:
        """Return the largest size in MiB."""
        self._over.set()
        self._thread.join()
        return self._most / _MEBIBYTE


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        simulated = stack.enter_context(Simulated(HEALTHY, QUEUES, 0.02))
        hostile = Hostile(Path(simulated.ca_file).parent)
        stack.callback(hostile.close)
        database, cache = stack.enter_context(PostgreSQL()), stack.enter_context(Redis())
        hub = Hub(deployed_settings(database.url(), cache.url, simulated.ca_file))
        stack.callback(hub.close)
        names = {f"attack-{number:02}": name for number, name in enumerate(ATTACKS)}
        strings = {each: hostile.connection_strings[name] for each, name in names.items()}
        token = hub.prepare({**simulated.namespaces, **strings})
        hub.start()
        healthy = sorted(simulated.namespaces)
        for name in healthy:  # opens the connections; cold ones are not measured
            scrape_of(hub, token, name, timeout_seconds=TIMEOUT_SECONDS)()
        print(
            f"{HEALTHY} healthy namespaces of {QUEUES} queues, once per second; {options.seconds:g} s per attack"
        )
        print(f"{'attack':<33} {'healthy p50':>11} {'slowest':>8} {'failed':>6} {'worker MiB':>10}  answers")
        chosen = [each for each, name in names.items() if options.only in name]
        rows = [[], *([each] for each in chosen), chosen] if len(chosen) > 1 else [[], chosen]
        good = True
        for attacks in rows:
            title = "none" if not attacks else names[attacks[0]] if len(attacks) == 1 else "all at once"
            good &= _measure(hub, token, healthy, attacks, title, options.seconds)
        traces = hub.log.read_text(errors="replace").count("Traceback")
        print(f"tracebacks in the hub's log: {traces}")
        print(
            f"goals: no healthy scrape failed or later than {HEALTHY_LIMIT_SECONDS:g} s, no worker beyond "
            f"{MEMORY_LIMIT_MIB} MiB, every attack answered with 200 within {TIMEOUT_SECONDS:g} s, no traceback: "
            f"{'met' if good and not traces else 'not met'}"
        )
        return int(not good or bool(traces))


def _measure(
    hub: Hub, token: str, healthy: Sequence[str], attacks: Sequence[str], title: str, seconds: float
) -> bool:
    over = threading.Event()
    memory = Memory(hub)
    answers: Counter[str] = Counter()

    def attacked(name: str) -> Series:
        scrape = scrape_of(hub, token, name, timeout_seconds=TIMEOUT_SECONDS)

        def work() -> bool:
            exposition = scrape()
            answers[_outcome(exposition)] += 1
            return bool(exposition)

        return Series(work, 0.2, over)

    def watched(name: str) -> Series:
        scrape = scrape_of(hub, token, name, timeout_seconds=TIMEOUT_SECONDS)
        return Series(lambda: is_up(scrape()), 1.0, over)

    attackers = [attacked(name) for name in attacks for _ in range(CLIENTS if len(attacks) == 1 else 1)]
    watchers = []
    for name in healthy:
        watchers.append(watched(name))
        time.sleep(1 / len(healthy))  # spread over the second
    time.sleep(seconds)
    over.set()
    took, failed = _together(watchers)
    attack_took, unanswered = _together(attackers)
    most = memory.close()
    late = sum(each > TIMEOUT_SECONDS for each in attack_took)
    said = ", ".join(f"{count} {outcome}" for outcome, count in answers.most_common())
    if late or unanswered:
        said += f"; {unanswered} unanswered, {late} late"
    slowest = max(took, default=0.0)
    print(
        f"{title:<33} {quantile(took, 0.5):>9.3f} s {slowest:>6.3f} s {failed:>6} {most:>10.0f}  {said}",
        flush=True,
    )
    return not (failed or late or unanswered or slowest > HEALTHY_LIMIT_SECONDS or most > MEMORY_LIMIT_MIB)


def _together(series: Sequence[Series]) -> tuple[list[float], int]:
    results = [each.result() for each in series]
    return [seconds for took, _ in results for seconds in took], sum(failed for _, failed in results)


def _outcome(exposition: bytes) -> str:
    if not exposition:
        return "no exposition"
    return "+".join(sorted(reasons_of(exposition))) or ("up" if is_up(exposition) else "down")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="how long each attack goes on")
    parser.add_argument("--only", default="", help="only the attacks whose name contains this")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
