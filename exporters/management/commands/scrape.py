"""`manage.py scrape NAME`: print the exposition of /metrics/NAME."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from exporters.configuration import derivation
from exporters.models import Namespace
from exporters.scraping.scrape import exposition, scrape


class Command(BaseCommand):
    help = (
        "Scrape one namespace and print what Prometheus would get. The exit code is 1 if servicebus_up is 0."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the namespace's name, as in /metrics/<name>; it may be paused")
        parser.add_argument(
            "--timeout", type=float, help="timeout in seconds (default: the namespace's own timeout)"
        )

    def handle(self, *args: Any, name: str, timeout: float | None, **options: Any) -> None:
        namespace = Namespace.objects.select_related("team", "credential").filter(name=name).first()
        if namespace is None:
            known = ", ".join(Namespace.objects.values_list("name", flat=True)[:20]) or "none yet"
            raise CommandError(f"There is no namespace {name}. Existing namespaces: {known}.")
        target = derivation.target(namespace)
        answer = exposition(target, scrape(target, timeout or target.limits.timeout_seconds), "")
        self.stdout.write(answer.body.decode(), ending="")
        failures = {failure.message for failure in answer.result.snapshot.failures}
        if failures:
            self.stderr.write("\n".join(sorted(failures)))
            sys.exit(1)
