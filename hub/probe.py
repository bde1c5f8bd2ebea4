"""`python -m hub.probe`: exit with 0 if the hub on this machine answers; for containers' health checks.

It loads neither the settings nor the application, because it runs every few seconds.
"""

import sys

from django.core.exceptions import ImproperlyConfigured

from exporters.management import probe

from . import environment


def main() -> int:
    try:
        port = environment.integer("HUB_PORT", 9580, minimum=1, maximum=65535)
        is_tls = environment.text("HUB_TLS_CERT_FILE") is not None
        return 0 if probe.status("/-/healthy", port=port, is_tls=is_tls) == 200 else 1
    except (OSError, ImproperlyConfigured) as error:
        sys.stderr.write(f"The hub isn't responding: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
