"""`python -m hub.probe`: exits with 0 when the hub on this machine answers; for containers' health checks.

It loads no settings and no application, as it runs every few seconds.
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
    """Return the status of a path of the hub on this machine; raise OSError for errors and where nothing answers."""
    port = environment.integer("HUB_PORT", 9580, minimum=1, maximum=65535)
    scheme = "https" if environment.text("HUB_TLS_CERT_FILE") else "http"
    # The certificate is made out to the name that others use, not to this machine's loopback address.
    context = ssl._create_unverified_context() if scheme == "https" else None  # noqa: S323
    # No proxy of the environment: it would look for the hub on its own machine.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(f"{scheme}://127.0.0.1:{port}{path}", timeout=4) as answer:
        return int(answer.status)


if __name__ == "__main__":
    sys.exit(main())
