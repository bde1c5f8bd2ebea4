"""`python -m hub.probe`: exits with 0 when the hub on this machine answers; for containers' health checks.

It starts no Django, as it runs every few seconds.
"""

import os
import ssl
import sys
import urllib.request


def main() -> int:
    port = os.environ.get("HUB_PORT") or "9580"
    scheme = "https" if os.environ.get("HUB_TLS_CERT_FILE") else "http"
    # The certificate is made out to the name that others use, not to this machine's loopback address.
    context = ssl._create_unverified_context() if scheme == "https" else None  # noqa: S323
    try:
        with urllib.request.urlopen(  # noqa: S310 - a fixed scheme, and this very machine
            f"{scheme}://127.0.0.1:{port}/-/healthy", timeout=4, context=context
        ) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        sys.stderr.write(f"The hub doesn't answer: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
