"""`python -m tests.support.seed`: store namespaces and tokens in a hub's database, as the admin would.

Reads JSON from standard input:
- `namespaces`: name -> connection string, or the namespace's fields with `secret`, `team` (a name) and
  `expires_in_days`. An existing namespace is changed.
- `fields`: fields of every namespace.
- `delete`: names of namespaces.
- `tokens`: name -> team, null for all teams. By default, a platform token.
- `prepare`: run `manage.py prepare` first.

Prints the tokens' secrets, one per line. Runs with the hub's environment.
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
    from django.core.management import call_command
    from django.db import transaction

    from exporters.models import Namespace

    wanted = json.load(sys.stdin)
    if wanted.get("prepare"):
        call_command("prepare", stdout=sys.stderr)
    with transaction.atomic():
        for name, given in wanted.get("namespaces", {}).items():
            own = {"secret": given, "cache_seconds": 0} if isinstance(given, str) else given
            _namespace(name, **own | wanted.get("fields", {}))
        for name in wanted.get("delete", []):
            Namespace.objects.get(name=name).delete()
        secrets = [_token(*token) for token in wanted.get("tokens", {"prometheus": None}).items()]
    print("\n".join(secrets))


def _namespace(
    name: str, secret: str, team: str = "load", expires_in_days: float | None = None, **fields: Any
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


def _token(name: str, team: str | None) -> str:
    from exporters.models import ScrapeToken, Team

    secret = ScrapeToken.generate()
    token = ScrapeToken(name=name, scope="team" if team else "all_teams")
    token.team = Team.objects.get(name=team) if team else None
    token.set_token(secret)
    token.save()
    return secret


if __name__ == "__main__":
    main()
