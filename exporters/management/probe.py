"""Probe the hub on this machine. Needs neither settings nor the application, because hub/probe.py runs often."""

import ssl
import urllib.request


def status(path: str, *, port: int, is_tls: bool) -> int:
    """Return the status of a path of the hub on this machine; raise OSError for errors and if nothing answers."""
    scheme = "https" if is_tls else "http"
    # The certificate is for the hub's external name, not for the loopback address.
    context = ssl._create_unverified_context() if is_tls else None  # noqa: S323
    # Ignore proxies from the environment: they would look for the hub on their own machine.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(f"{scheme}://127.0.0.1:{port}{path}", timeout=4) as answer:
        return int(answer.status)
