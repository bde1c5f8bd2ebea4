"""Prepare the database for the hub. Deployments run this before gunicorn."""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from exporters.configuration.reencrypt import unreadable
from exporters.management import startup
from exporters.management.production import refusal


class Command(BaseCommand):
    help = (
        "Migrate the database, create the user admin (or reset its password to HUB_ADMIN_PASSWORD), and apply "
        "HUB_CONFIG. Safe to repeat, and safe while the hub is running."
    )
    # Checks that need the database would fail before it is migrated.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        if why := refusal(settings):
            raise CommandError(why)
        if settings.HUB_CONFIG and not os.path.isfile(settings.HUB_CONFIG):
            raise CommandError(f"HUB_CONFIG names {settings.HUB_CONFIG}, which is not a file.")
        with startup.alone():
            self._prepare()

    def _prepare(self) -> None:
        startup.migrate()
        administrator = startup.ensure_administrator()
        if administrator.password:
            self.stdout.write(
                f"The password of {administrator.username} is in {settings.HUB_DATA_DIR / 'admin_password'}."
            )
        if settings.HUB_CONFIG:
            startup.apply_config(settings.HUB_CONFIG)
        for message in unreadable():
            self.stderr.write(message)
