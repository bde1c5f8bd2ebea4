"""`python -m tests.shared_state.budget_reader`: processes that together read a namespace as fast as its budget allows.

The argument is JSON. Prints "ready", waits for a line on standard input, reads for `seconds` seconds, and prints as
JSON when each of its requests was due, by the store's time.
"""

import json
import os
import sys
import time
from pathlib import Path

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    from exporters.scraping.budgets import decode, encode
    from exporters.servicebus import clock
    from exporters.servicebus.request_rate import Allowance, take
    from exporters.shared_state.files import FileStore
    from exporters.shared_state.redis import RedisStore
    from exporters.shared_state.store import Store

    wanted = json.loads(sys.argv[1])
    store: Store = RedisStore(wanted["redis"]) if "redis" in wanted else FileStore(Path(wanted["files"]))
    allowance = Allowance(wanted["requests_per_second"], wanted["burst"])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    until = clock.now() + wanted["seconds"]
    due: list[float] = []
    while (left := until - clock.now()) > 0:

        def change(
            found: bytes | None, now: float, left: float = left
        ) -> tuple[bytes, tuple[int, float, float]]:
            bucket, had, wait = take(decode(found), allowance, now, 1, left)
            return encode(bucket), (had, wait, now)

        had, wait, now = store.update("budget", change, 600)
        if had:
            due.append(now + wait)
        time.sleep(min(wait, left))
    sys.stdout.write(json.dumps(due))


if __name__ == "__main__":
    main()
