"""Run with a hub's settings: run the management commands on standard input (JSON), one after the other.

Starting Python for each of them would take most of the test's time.
"""

import json
import os
import sys
import traceback

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")


def main() -> None:
    django.setup()
    for command in json.load(sys.stdin):
        print(f"--- {command}", flush=True)  # noqa: T201
        try:
            call_command(*command)
        except (Exception, SystemExit):
            traceback.print_exc()


if __name__ == "__main__":
    main()
