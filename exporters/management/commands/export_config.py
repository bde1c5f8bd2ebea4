"""Print the configuration as hub.yaml."""

from typing import Any

from django.core.management.base import BaseCommand

from exporters import hub_yaml


class Command(BaseCommand):
    help = "Print the stored configuration as hub.yaml. Secrets appear only as references or fingerprints."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(hub_yaml.export(), ending="")
