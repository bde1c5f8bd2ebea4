"""Apply a hub.yaml."""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from exporters import hub_yaml
from exporters.management import startup


class Command(BaseCommand):
    help = (
        "Apply hub.yaml to the stored configuration. If the file has an error, nothing is changed. Objects that the "
        "file doesn't list are kept."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", nargs="?", help="file to apply, - for standard input (default: HUB_CONFIG)"
        )
        parser.add_argument("--dry-run", action="store_true", help="print the changes without applying them")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="delete objects from earlier files that this file no longer lists; objects created in the admin "
            "are kept",
        )

        parser.add_argument(
            "--into-empty",
            action="store_true",
            help="do nothing if the hub already has a team or a namespace",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["file"] or settings.HUB_CONFIG
        if not name:
            raise CommandError("Give a file, or set HUB_CONFIG.")
        if options["into_empty"] and not startup.database_is_empty():
            self.stdout.write("The hub is already in use. Nothing was changed.")
            return
        shown = "<standard input>" if name == "-" else name
        plan = hub_yaml.plan(self._read(name), file_name=shown, prune=options["prune"])
        if plan.errors:
            raise CommandError("\n".join(["Nothing was changed.", *plan.messages()]))
        if not options["dry_run"]:
            hub_yaml.apply(plan)
        for warning in plan.warnings:
            self.stderr.write(f"Warning: {warning.within(shown)}")
        for change in plan.changes:
            self.stdout.write(str(change))
        if plan.kept:
            self.stdout.write(
                "Kept, although this file no longer lists them (--prune deletes them): "
                "" + ", ".join(plan.kept)
            )
        self.stdout.write(self._summary(len(plan.changes), options["dry_run"]))

    def _summary(self, count: int, dry_run: bool) -> str:
        if not count:
            return "Nothing to change."
        objects = "1 object" if count == 1 else f"{count} objects"
        return f"{objects} would change." if dry_run else f"{objects} changed."

    def _read(self, name: str) -> str:
        try:
            if name == "-":
                return sys.stdin.read()
            return Path(name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise CommandError(f"{name} is not UTF-8 text.") from None
        except OSError as error:
            raise CommandError(f"{name} can't be read: {error.strerror}.") from None
