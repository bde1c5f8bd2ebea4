"""`python -m tests.support.seed`: store the namespaces listed on standard input as JSON (name -> connection string).

Prints a platform scrape token. Runs with the hub's environment on a migrated database.
"""

import json
import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    from django.db import transaction

    from exporters.models import Credential, Namespace, ScrapeToken, Team

    wanted = json.load(sys.stdin)
    with transaction.atomic():
        team = Team.objects.create(name="load")
        for name, connection_string in wanted["namespaces"].items():
            credential = Credential.objects.create(name=f"{name}-key", team=team, secret=connection_string)
            fields = {"cache_seconds": wanted.get("cache_seconds", 0), **wanted.get("fields", {})}
            Namespace.objects.create(name=name, team=team, credential=credential, **fields)
        secret = ScrapeToken.generate()
        token = ScrapeToken(name="prometheus", scope=ScrapeToken.Scope.ALL_TEAMS)
        token.set_token(secret)
        token.save()
    print(secret)


if __name__ == "__main__":
    main()
