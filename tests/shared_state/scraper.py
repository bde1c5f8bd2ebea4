"""`python -m tests.shared_state.scraper`: processes whose scrapes share their reads; the reads are simulated.

The argument is JSON. Each thread continuously scrapes random ones of a few namespaces, with random durations, until
standard input is closed. Prints a line of JSON for each scrape and for each read. All times come from
`servicebus.clock`, which all processes of a machine share. A read stores its start and end times in its result, so that
a response shows which read it comes from.
"""

import json
import os
import random
import sys
import threading
import time
from typing import Any

import django

_printing = threading.Lock()


def say(**what: Any) -> None:
    with _printing:
        sys.stdout.write(json.dumps({"pid": os.getpid(), **what}) + "\n")
        sys.stdout.flush()


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    from exporters.configuration.targets import CredentialSpec, Limits, Target
    from exporters.scraping.single_flight import Flights
    from exporters.servicebus import clock
    from exporters.servicebus.entities import Failure, Queue, Snapshot
    from exporters.servicebus.errors import Reason

    wanted = json.loads(sys.argv[1])
    flights = Flights()
    ended = threading.Event()

    def target(name: str) -> Target:
        return Target(
            name=name,
            team="payments",
            enabled=True,
            host=f"{name}.servicebus.windows.net",
            credential=CredentialSpec("connection_string", credential_id=1),
            endpoint=None,
            problem=None,
            labels=(),
            include="",
            exclude="",
            groups=frozenset(),
            limits=Limits(None, None, 16, 10, 0, max_age_seconds=300, max_entities=1000),
            scrape_interval_seconds=None,
            scrape_timeout_seconds=None,
        )

    def read(name: str, seconds: float) -> Snapshot:
        began, takes = clock.now(), random.uniform(*wanted["read_seconds"])
        say(began=began, name=name)
        time.sleep(min(takes, seconds))
        if random.random() < wanted.get("bugs", 0):
            raise ZeroDivisionError
        failure = None if takes <= seconds else Failure(Reason.TIMEOUT, "")
        now = clock.now()
        queues = () if failure else (Queue(name, messages=int(began * 1e6), size_bytes=int(now * 1e6)),)
        say(read=name, began=began, ended=now)
        return Snapshot(queues=queues, collectors={"queues": failure}, began_at=began, read_at=time.time())

    def scrape(name: str) -> None:
        seconds = random.uniform(*wanted["scrape_seconds"])
        came = clock.now()
        scraped: dict[str, Any] = {"scraped": name, "came": came, "deadline": came + seconds}
        try:
            answer = flights.answer(target(name), seconds, lambda left, _: read(name, left), lambda *_: None)
        except ZeroDivisionError:
            say(**scraped, answered=clock.now(), origin="bug")
            return
        answered, snapshot = clock.now(), answer.snapshot
        (failure,) = snapshot.collectors.values()
        say(
            **scraped,
            answered=answered,
            origin=str(answer.origin),
            reason=None if failure is None else str(failure.reason),
            age=answer.age_seconds,
            began=snapshot.began_at,
            queues=[[queue.name, queue.messages, queue.size_bytes] for queue in snapshot.queues],
        )

    def scrape_on() -> None:
        while not ended.is_set():
            scrape(f"payments-{random.randrange(wanted['namespaces'])}")
            time.sleep(random.uniform(0, wanted["pause_seconds"]))

    threads = [threading.Thread(target=scrape_on) for _ in range(wanted["threads"])]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    say(waiting=len(os.listdir("/proc/self/task")))


if __name__ == "__main__":
    main()
