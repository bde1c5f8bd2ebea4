"""`python -m bench.hanging`: one healthy namespace among 200 that hang, in one hub with its default settings.

Some namespaces hang before the TLS handshake, some after it, and some respond byte by byte. The benchmark scrapes all
of them concurrently and without pause, with Prometheus's default timeout of 10 s. At the same time, it scrapes the
healthy namespace every 200 ms, and opens the admin's sign-in and start pages. Prints how long each took. Exits with 1
if the p99 of the healthy scrapes or of a page reaches 1 s, if one of them failed, or if the scrape of a hanging
namespace was answered after its timeout.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from tests.support.hubs import Hub, Simulated, quantile
from tests.support.series import Series, is_up, scrape_of

from .pages import Browser

LIMIT_SECONDS = 1.0
TIMEOUT_SECONDS = 10.0


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        simulated = stack.enter_context(Simulated(1, 100, 0.02, options.hanging))
        hub = Hub(
            {
                "HUB_ALLOW_LOOPBACK": "1",
                "HUB_CA_FILE": simulated.ca_file,
                "HUB_ADMIN_PASSWORD": "bench-bench-bench",
            }
        )
        stack.callback(hub.close)
        token = hub.prepare(simulated.namespaces)
        hub.start()
        return _measure(hub, token, sorted(simulated.namespaces), options.seconds)


def _measure(hub: Hub, token: str, names: Sequence[str], seconds: float) -> int:
    over = threading.Event()
    hanging = [name for name in names if name.startswith("hanging")]
    healthy = next(name for name in names if name not in hanging)
    # The sign-in page redirects users who are already signed in.
    opened = [_page(hub, "/admin/login/", signed_in=False), _page(hub, "/admin/", signed_in=True)]
    clients = [Series(_scrape(hub, token, name, up=False), 0, over) for name in hanging]
    time.sleep(2)  # until all of them hang
    scrapes = Series(_scrape(hub, token, healthy, up=True), 0.2, over)
    pages = [Series(page, 0.5, over) for page in opened]
    time.sleep(seconds)
    over.set()
    worst = 0.0
    failures = 0
    for name, (took, failed) in {
        "healthy scrape": scrapes.result(),
        "login page": pages[0].result(),
        "start page": pages[1].result(),
    }.items():
        worst, failures = max(worst, quantile(took, 0.99)), failures + failed
        _print(name, took, failed)
    results = [client.result() for client in clients]
    took, failed = [each for result in results for each in result[0]], sum(result[1] for result in results)
    _print(f"{len(hanging)} hanging", took, failed)
    late = sum(each > TIMEOUT_SECONDS for each in took)
    print(
        f"answered after Prometheus gave up: {late}; goal: p99 below {LIMIT_SECONDS:g} s, none failed, none late"
    )
    return int(bool(worst >= LIMIT_SECONDS or failures or failed or late))


def _print(name: str, took: Sequence[float], failed: int) -> None:
    print(
        f"{name:<16} {len(took):>5} times: p50 {quantile(took, 0.5):.3f} s, p99 {quantile(took, 0.99):.3f} s, "
        f"slowest {max(took, default=0):.3f} s, failed {failed}"
    )


def _scrape(hub: Hub, token: str, name: str, *, up: bool) -> Callable[[], bool]:
    """Return a scrape that succeeds if it gets status 200 and the expected servicebus_up."""
    scrape = scrape_of(hub, token, name, timeout_seconds=TIMEOUT_SECONDS)

    def good() -> bool:
        exposition = scrape()
        return bool(exposition) and is_up(exposition) is up

    return good


def _page(hub: Hub, path: str, *, signed_in: bool) -> Callable[[], bool]:
    """Return a function that opens a page, over its own connection, and returns whether it got the page."""
    browser = Browser(hub.address)
    if signed_in:
        browser.sign_in("admin", hub.variables["HUB_ADMIN_PASSWORD"])
    return lambda: browser.get(path)[0] == 200


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hanging", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
