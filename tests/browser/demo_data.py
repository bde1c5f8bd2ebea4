"""`python -m tests.browser.demo_data`: fill an empty, migrated hub with the data for browser tests and screenshots.

Standard input is JSON: connection strings by the name of the simulated namespace. Prints JSON: primary keys and tokens
by object. The data has a target in every state, objects of every kind, and a user for every role.
"""

import json
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import django

# Name, team, state of its scrapes. The state determines the seeded records.
_NAMESPACES = (
    ("payments-prod", "payments", "up"),
    ("payments-stage", "payments", "unauthorized"),
    ("payments-dev", "payments", "paused"),
    ("orders-prod", "orders", "up"),
    ("orders-stage", "orders", "timeout"),
    ("shipping-prod", "shipping", "throttled"),
    ("shipping-stage", "shipping", "stale"),
    ("search-prod", "search", "never"),
)
_TEAMS = {
    "payments": "Cards, invoices and refunds",
    "orders": "The shop's orders",
    "shipping": "Labels and tracking",
    "search": "The search index",
}
_MESSAGES = {
    "unauthorized": "Service Bus answered 401: the claim is empty or the token is invalid.",
    "timeout": "Not everything was read within 9.5 s: 14 of 102 requests were left.",
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    from django.db import transaction

    strings = json.load(sys.stdin)
    with transaction.atomic():
        ids = _objects(strings)
    _records()
    json.dump(ids, sys.stdout)


def _objects(strings: dict[str, str]) -> dict[str, Any]:
    from django.contrib.auth.models import User

    from exporters.models import (
        Credential,
        LabelRule,
        Membership,
        Namespace,
        ScrapeToken,
        Source,
        Team,
        WallLink,
    )

    from .demo import PASSWORD

    ids: dict[str, Any] = {}
    teams = {name: Team.objects.create(name=name, description=text) for name, text in _TEAMS.items()}
    for role in Membership.Role:
        user = User.objects.create_user(f"payments-{role}", password=PASSWORD, is_staff=True)
        membership = Membership.objects.create(user=user, team=teams["payments"], role=role)
        ids.setdefault("membership", membership.pk)
        ids.setdefault("user", user.pk)
    for name, team, state in _NAMESPACES:
        secret = strings[name]
        if state == "unauthorized":
            secret = secret.partition("SharedAccessKey=")[0] + "SharedAccessKey=d3Jvbmc="
        spare = (
            secret.partition("SharedAccessKey=")[0] + "SharedAccessKey=c3BhcmU="
            if name == "payments-prod"
            else ""
        )
        credential = Credential.objects.create(
            name=f"{name}-manage", team=teams[team], secret=secret, spare_secret=spare
        )
        environment = name.rpartition("-")[2]
        namespace = Namespace.objects.create(
            name=name,
            team=teams[team],
            credential=credential,
            enabled=state != "paused",
            labels={"environment": environment},
        )
        ids.setdefault("credential", credential.pk)
        ids.setdefault("namespace", namespace.pk)
        ids[name] = namespace.pk
    from_file = Namespace.objects.get(name="search-prod")
    from_file.source = Source.FILE
    from_file.save()
    ids["from_file"] = from_file.pk
    ids["team"] = teams["payments"].pk
    _change(Namespace.objects.get(name="payments-prod"), User.objects.get(username="payments-editor"))
    rule = LabelRule.objects.create(
        team=teams["payments"], source_labels=["name"], regex="([a-z]+)/.*", target_label="domain"
    )
    ids["label_rule"] = rule.pk
    wall = "sbw_for-the-browser-tests-000000000000000000000"
    link = WallLink(name="office", scope="all_teams")
    link.set_token(wall)
    link.save()
    ids["wall_link"] = link.pk
    ids["wall"] = wall
    secret = "sbh_for-the-browser-tests-000000000000000000000"
    token = ScrapeToken(name="prometheus", team=teams["payments"], scope="team")
    token.set_token(secret)
    token.save()
    ids["scrape_token"] = token.pk
    ids["token"] = secret
    return ids


def _change(namespace: Any, user: Any) -> None:
    """Change a namespace as the user would, from an address reserved for examples (RFC 5737)."""
    namespace.exclude = "tmp/.*"
    namespace.requests_per_second = 40
    namespace._history_user = user
    namespace.save()
    namespace.history.filter(history_user=user).update(history_address="192.0.2.10")


def _records() -> None:
    from exporters.models import Namespace
    from exporters.scraping.scrape_records import write

    numbers = dict(Namespace.objects.values_list("name", "pk"))
    chance = random.Random(7)
    now = datetime.now(UTC)
    write(
        [
            record
            for name, _, state in _NAMESPACES
            if state != "never"
            for record in _scrapes(
                numbers[name], state, now - timedelta(seconds=chance.randrange(3, 14)), chance
            )
        ]
    )


def _scrapes(namespace_id: int, state: str, last: datetime, chance: random.Random) -> list[Any]:
    """Return the last 60 scrapes of a namespace, one every 15 s."""
    from exporters.models import ScrapeRecord

    if state == "stale":
        last -= timedelta(minutes=23)
    usual = chance.uniform(0.2, 2.5)
    made = []
    for number in range(60):
        failing = state in _MESSAGES and number > 42
        throttled = state == "throttled" and number > 50
        seconds = (9.5 if state == "timeout" else 0.08) if failing else usual * chance.uniform(0.8, 1.3)
        made.append(
            ScrapeRecord(
                namespace_id=namespace_id,
                at=last - timedelta(seconds=15 * (59 - number)),
                outcome=("partial" if state == "timeout" else "failure") if failing else "success",
                reason=state if failing else "",
                message=_MESSAGES[state] if failing else "",
                duration_seconds=seconds + 3 * throttled,
                allowed_seconds=9.5,
                age_seconds=0.0,
                requests=12,
                throttled_requests=4 if throttled else 0,
                series=6 if failing and state != "timeout" else 40 + int(usual * 1000),
            )
        )
    return made


if __name__ == "__main__":
    main()
