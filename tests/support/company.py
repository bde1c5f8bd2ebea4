"""`python -m tests.support.company`: fill an empty, migrated hub with a company's ten thousand namespaces.

Standard input is JSON with the fields of Company; `{}` gives the defaults. Prints JSON: values for the placeholders in
page addresses, the names of users, their password, and a platform scrape token. Runs with the hub's environment.
"""

import json
import os
import random
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import django

PASSWORD = "bench-bench-bench"
_BATCH = 1000
_LISTED = 20  # namespaces that a token lists
_CONNECTION_STRING = (
    "Endpoint=sb://{name}.servicebus.windows.net/;SharedAccessKeyName=hub;SharedAccessKey=c2VjcmV0"
)


@dataclass(frozen=True, slots=True)
class Company:
    """The amount of data. Each namespace has its own credential; namespaces are spread evenly over the teams.

    `connection_strings`: used in turn, each with its simulator's key; if empty, every namespace has its own host.
    `fields`: additional fields of every namespace. `records`: past scrapes of each namespace. `changes`: history rows
    of each object. `ruled`: one in this many namespaces has a label rule.
    """

    namespaces: int = 10_000
    teams: int = 500
    users_of_a_team: int = 3
    records: int = 5
    changes: int = 2
    ruled: int = 10
    connection_strings: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


def fill(company: Company) -> dict[str, Any]:
    """Store everything in one transaction; return the values that main prints."""
    from django.db import transaction

    from exporters.models.version import ConfigurationVersion

    with transaction.atomic():
        ids = _people(company)
        namespaces = _namespaces(company, ids)
        _rules(namespaces[:: company.ruled], ids)
        _bearers(namespaces, ids)
        _history(company)
        _scrapes(company, namespaces)
        ConfigurationVersion.bump()
    return {
        **ids,
        "password": PASSWORD,
        "users": {"administrator": "bench-admin", "owner": "team-0000-owner", "viewer": "team-0000-viewer"},
    }


def _people(company: Company) -> dict[str, Any]:
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User

    from exporters.models import Membership, Team

    teams = Team.objects.bulk_create(
        [Team(name=f"team-{number:04}", description="Of the benchmark") for number in range(company.teams)],
        batch_size=_BATCH,
    )
    roles = list(Membership.Role)
    # One hash for all, because hashing is slow on purpose.
    password = make_password(PASSWORD)
    places = [(team, number) for team in teams for number in range(company.users_of_a_team)]
    users = User.objects.bulk_create(
        [
            User(username=_user(team.name, number, roles), password=password, is_staff=True)
            for team, number in places
        ],
        batch_size=_BATCH,
    )
    members = Membership.objects.bulk_create(
        [
            Membership(user=user, team=team, role=roles[number % len(roles)])
            for user, (team, number) in zip(users, places, strict=True)
        ],
        batch_size=_BATCH,
    )
    User.objects.create_superuser("bench-admin", "", PASSWORD)
    return {
        "team": teams[0].pk,
        "user": users[0].pk,
        "newcomer": users[-1].pk,
        "member": members[0].pk,
    }


def _user(team: str, number: int, roles: list[Any]) -> str:
    again = number // len(roles)
    return f"{team}-{roles[number % len(roles)]}" + (f"-{again}" if again else "")


def _namespaces(company: Company, ids: dict[str, Any]) -> list[Any]:
    from exporters.models import Credential, IdentityGrant, Namespace, Team

    teams = list(Team.objects.order_by("pk"))
    names = [f"namespace-{number:05}" for number in range(company.namespaces)]
    strings = company.connection_strings
    credentials = [
        Credential(
            name=f"{name}-key",
            team=teams[number % len(teams)],
            secret=strings[number % len(strings)] if strings else _CONNECTION_STRING.format(name=name),
        )
        for number, name in enumerate(names)
    ]
    for credential in credentials:
        credential.note_secret("secret", credential.secret)
    Credential.objects.bulk_create(credentials, batch_size=_BATCH)
    namespaces = Namespace.objects.bulk_create(
        [
            Namespace(
                **{
                    "name": name,
                    "team": credential.team,
                    "credential": credential,
                    "labels": {"environment": "production" if number % 3 else "test"},
                    "enabled": number % 50 != 49,
                    **company.fields,
                }
            )
            for number, (name, credential) in enumerate(zip(names, credentials, strict=True))
        ],
        batch_size=_BATCH,
    )
    identity = Credential.objects.create(name="identity-of-the-hub", kind=Credential.Kind.MANAGED_IDENTITY)
    IdentityGrant.objects.bulk_create(
        [
            IdentityGrant(credential=identity, team=team, hosts=[f"{team.name}.servicebus.windows.net"])
            for team in teams
        ],
        batch_size=_BATCH,
    )
    ids |= {
        "credential": credentials[0].pk,
        "namespace": namespaces[0].pk,
        "namespace_name": namespaces[0].name,
        "identity": identity.pk,
    }
    return namespaces


def _rules(ruled: list[Any], ids: dict[str, Any]) -> None:
    """Store rules for the hub, for every team and for these namespaces."""
    from exporters.models import LabelRule, Team

    rules = [LabelRule(position=10, target_label="company", replacement="bench")]
    rules += [
        LabelRule(team=team, position=10, source_labels=["name"], regex="([a-z]+)/.*", target_label="domain")
        for team in Team.objects.order_by("pk")
    ]
    rules += [
        LabelRule(team=each.team, namespace=each, position=10, target_label="tier", replacement="gold")
        for each in ruled
    ]
    LabelRule.objects.bulk_create(rules, batch_size=_BATCH)
    ids["rule"] = rules[1].pk


def _bearers(namespaces: list[Any], ids: dict[str, Any]) -> None:
    """Store tokens of every scope, and a wall link for each team and for all teams."""
    from exporters.models import ScrapeToken, Team, WallLink

    made = []
    for team in Team.objects.order_by("pk"):
        for scope in (ScrapeToken.Scope.TEAM, ScrapeToken.Scope.LISTED):
            token = ScrapeToken(name=f"prometheus-{scope}", team=team, scope=scope)
            token.set_token(ScrapeToken.generate())
            made.append(token)
    secret = ScrapeToken.generate()
    platform = ScrapeToken(name="prometheus", scope=ScrapeToken.Scope.ALL_TEAMS)
    platform.set_token(secret)
    ScrapeToken.objects.bulk_create([*made, platform], batch_size=_BATCH)
    of_team = {token.team_id: token for token in made if token.scope == ScrapeToken.Scope.LISTED}
    through: Any = ScrapeToken.namespaces.through
    listed = namespaces[: _LISTED * len(of_team)]
    through.objects.bulk_create(
        [through(scrapetoken=of_team[each.team_id], namespace=each) for each in listed], batch_size=_BATCH
    )
    links = [WallLink(name="screen", team=team, scope="team") for team in Team.objects.order_by("pk")]
    links.append(WallLink(name="screen-of-all", scope="all_teams"))
    walls = [WallLink.generate() for _ in links]
    for link, wall in zip(links, walls, strict=True):
        link.set_token(wall)
    WallLink.objects.bulk_create(links, batch_size=_BATCH)
    ids |= {
        "token": of_team[namespaces[0].team_id].pk,
        "wall_link": links[0].pk,
        "wall": walls[-1],
        "scrape_token": secret,
    }


def _history(company: Company) -> None:
    from exporters.access import roles as access

    for model in access.RULES:
        history: Any = model.history  # type: ignore[attr-defined]
        stored = list(model._default_manager.all())
        for _ in range(company.changes):
            history.bulk_history_create(stored, batch_size=_BATCH)


def _scrapes(company: Company, namespaces: list[Any]) -> None:
    """Store the last scrapes: one namespace in twenty fails, and one in twenty was never scraped."""
    from exporters.scraping.scrape_records import write

    chance = random.Random(1)
    now = datetime.now(UTC)
    scraped = [each for number, each in enumerate(namespaces) if number % 20]
    for age in range(company.records, 0, -1):
        for start in range(0, len(scraped), _BATCH):
            write(
                [
                    _record(each, now - timedelta(seconds=15 * age), chance)
                    for each in scraped[start : start + _BATCH]
                ]
            )


def _record(namespace: Any, at: datetime, chance: random.Random) -> Any:
    from exporters.models import ScrapeRecord

    failed = namespace.pk % 20 == 7
    return ScrapeRecord(
        namespace_id=namespace.pk,
        at=at,
        outcome="failure" if failed else "success",
        reason="timeout" if failed else "",
        message="Not everything was read within 9.5 s: 14 of 102 requests were left." if failed else "",
        duration_seconds=chance.uniform(0.1, 9),
        allowed_seconds=9.5,
        age_seconds=0,
        requests=102,
        throttled_requests=0,
        series=6401,
    )


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    json.dump(fill(Company(**json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
