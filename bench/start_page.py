"""`python -m bench.start_page`: the server's time for the start page with 500 namespaces of 40 teams.

Fills a database of its own (SQLite in a temporary folder, or HUB_DATABASE_URL, which must be empty) and asks for the
page in this process. Prints the median and the slowest of so many answers, for an administrator and for a member of
half of the teams, and the number of queries. Exits with 1 when a median reaches 300 ms.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import django

LIMIT_SECONDS = 0.3


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="bench-start-page-") as folder:
        os.environ["HUB_DATA_DIR"] = folder
        os.environ["HUB_LOG_LEVEL"] = "warning"
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        users = _fill(options.namespaces, options.teams)
        slow = False
        for name, user in users.items():
            seconds, queries, size = _measure(user, options.rounds)
            median = statistics.median(seconds)
            slow = slow or median >= LIMIT_SECONDS
            print(
                f"{name:<14} median {median * 1000:.0f} ms, slowest {max(seconds) * 1000:.0f} ms, {queries} queries, "
                f"{size / 1024:.0f} KiB"
            )
        return 1 if slow else 0


def _fill(namespaces: int, teams: int) -> dict[str, Any]:
    from django.contrib.auth.models import User

    from exporters.models import Membership, Namespace, Team
    from exporters.records import Record, write

    chance = random.Random(1)
    stored = [Team.objects.create(name=f"team-{number:02}") for number in range(teams)]
    names = [f"namespace-{number:03}" for number in range(namespaces)]
    Namespace.objects.bulk_create(
        Namespace(name=name, team=chance.choice(stored), enabled=chance.random() > 0.02) for name in names
    )
    numbers = list(Namespace.objects.values_list("pk", flat=True))
    now = datetime.now(UTC)
    for age in range(40, 0, -1):
        write(
            [
                Record(
                    namespace_id=number,
                    at=now - timedelta(seconds=15 * age),
                    outcome=(outcome := "failure" if chance.random() < 0.05 else "success"),
                    reason="timeout" if outcome == "failure" else "",
                    message="Not everything was read within 9.5 s." if outcome == "failure" else "",
                    duration_seconds=chance.uniform(0.1, 9),
                    allowed_seconds=9.5,
                    age_seconds=0,
                    requests=102,
                    throttled_requests=0,
                    series=6401,
                )
                for number in numbers
            ]
        )
    administrator = User.objects.create_superuser("bench", "", "bench-bench-bench")
    member = User.objects.create_user("member", password="bench-bench-bench", is_staff=True)
    for team in stored[: teams // 2]:
        Membership.objects.create(user=member, team=team, role="viewer")
    return {"administrator": administrator, "member": member}


def _measure(user: Any, rounds: int) -> tuple[list[float], int, int]:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    client.get("/admin/")  # templates are compiled once
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        answer = client.get("/admin/")
        seconds.append(time.perf_counter() - started)
        if answer.status_code != 200:
            raise RuntimeError(f"the start page answered {answer.status_code}")
    with CaptureQueriesContext(connection) as captured:
        client.get("/admin/")
    return seconds, len(captured), len(answer.content)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespaces", type=int, default=500)
    parser.add_argument("--teams", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
