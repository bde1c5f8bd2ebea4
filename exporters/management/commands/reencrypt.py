"""Re-encrypt every stored secret with the first key in HUB_ENCRYPTION_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from exporters.configuration.reencrypt import reencrypt


class Command(BaseCommand):
    help = (
        "Re-encrypt all stored secrets with the first key of HUB_ENCRYPTION_KEYS. Safe while the hub is running. "
        "Afterwards, you can remove the other keys."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done, unreadable = reencrypt()
        self.stdout.write(f"{done} secrets are encrypted with the first key.")
        if unreadable:
            raise CommandError(
                "\n".join([f"{len(unreadable)} could not be decrypted and are unchanged:", *unreadable])
            )
