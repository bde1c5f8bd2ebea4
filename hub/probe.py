"""`python -m hub.probe`: exit with 0 if the hub on this machine answers; for containers' health checks.

It loads neither the settings nor the application, because it runs every few seconds.
"""

import ssl
import sys
import urllib.request

from django.core.exceptions import ImproperlyConfigured

from . import environment


def main() -> int:
    try:
        return 0 if status() == 200 else 1
    except (OSError, ImproperlyConfigured) as error:
        sys.stderr.write(f"The hub doesn't answer: {error}\n")
        return 1


def status(path: str = "/-/healthy") -> int:
    """Return the status of a path of the hub on this machine; raise OSError for errors and if nothing answers."""
    port = environment.integer("HUB_PORT", 9580, minimum=1, maximum=65535)
    scheme = "https" if environment.text("HUB_TLS_CERT_FILE") else "http"
    # The certificate is for the hub's external name, not for the loopback address.
    context = ssl._create_unverified_context() if scheme == "https" else None  # noqa: S323
    # Ignore proxies from the environment: they would look for the hub on their own machine.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(f"{scheme}://127.0.0.1:{port}{path}", timeout=4) as answer:
        return int(answer.status)


if __name__ == "__main__":
    sys.exit(main())
