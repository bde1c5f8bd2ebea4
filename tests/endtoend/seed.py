"""`python -m tests.endtoend.seed`: make the changes on standard input in a hub's database, as the admin would.

JSON: `namespaces` (fields, plus `team` and `secret`; an existing one is changed), `delete` (names of namespaces),
`tokens` (name -> team, null for the platform). Prints the tokens' secrets by name.
"""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    from exporters.models import Namespace, ScrapeToken, Team

    wanted = json.load(sys.stdin)
    for fields in wanted.get("namespaces", []):
        _namespace(**fields)
    for name in wanted.get("delete", []):
        Namespace.objects.get(name=name).delete()
    secrets = {}
    for name, team in wanted.get("tokens", {}).items():
        secrets[name] = ScrapeToken.generate()
        token = ScrapeToken(name=name, scope="team" if team else "all_teams")
        token.team = Team.objects.get(name=team) if team else None
        token.set_token(secrets[name])
        token.save()
    json.dump(secrets, sys.stdout)


def _namespace(
    name: str, team: str, secret: str, expires_in_days: float | None = None, **fields: Any
) -> None:
    from exporters.models import Credential, Namespace, Team

    expires_at = datetime.now(UTC) + timedelta(days=expires_in_days) if expires_in_days else None
    owner, _ = Team.objects.get_or_create(name=team)
    credential, _ = Credential.objects.update_or_create(
        name=f"{name}-key", defaults={"team": owner, "secret": secret, "expires_at": expires_at}
    )
    Namespace.objects.update_or_create(
        name=name, defaults={"team": owner, "credential": credential, **fields}
    )


if __name__ == "__main__":
    main()
