#!/usr/bin/env python3
"""Django's command line for the hub."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import InterfaceError, OperationalError, ProgrammingError

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(str(error))
    except (InterfaceError, OperationalError, ProgrammingError) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(
            f"The database does not answer, or is not migrated: {error}\n"
            "Look at HUB_DATABASE_URL and HUB_DATA_DIR; `manage.py prepare` migrates it."
        )


if __name__ == "__main__":
    main()
