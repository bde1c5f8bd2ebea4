"""`python -m bench.hanging`: one healthy namespace among 200 that hang, in one hub with its default settings.

The hanging namespaces (before the TLS handshake, after it, byte by byte) are all scraped continuously and at the same
time, with Prometheus's default timeout of 10 s. Meanwhile, the healthy namespace is scraped every 200 ms, and the
admin's sign-in and start pages are opened. Prints how long each took. Exits with 1 if the p99 of the healthy scrapes or
of a page reaches 1 s, if one of them failed, or if a hanging namespace was answered later than its timeout.
"""

import argparse
import http.cookiejar
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from tests.support.hubs import Hub, Simulated, quantile
from tests.support.series import Series, is_up, scrape_of

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
    open_page = _browser(hub)
    clients = [Series(_scrape(hub, token, name, up=False), 0, over) for name in hanging]
    time.sleep(2)  # until all of them hang
    scrapes = Series(_scrape(hub, token, healthy, up=True), 0.2, over)
    pages = [
        Series(lambda path=path: open_page(path), 0.5, over)  # type: ignore[misc]
        for path in ("/admin/login/", "/admin/")
    ]
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


def _browser(hub: Hub) -> Callable[[str], bool]:
    """Sign in as the administrator; return a function that opens a page."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    login = f"http://{hub.address}/admin/login/"
    opener.open(login, timeout=60).close()
    form = {
        "username": "admin",
        "password": hub.variables["HUB_ADMIN_PASSWORD"],
        "csrfmiddlewaretoken": next(str(cookie.value) for cookie in jar if "csrf" in cookie.name),
    }
    data = urllib.parse.urlencode(form).encode()
    opener.open(urllib.request.Request(login, data, {"Referer": login}), timeout=60).close()

    def open_page(path: str) -> bool:
        # The sign-in page redirects users who are already signed in.
        who = urllib.request.build_opener() if path == "/admin/login/" else opener
        with who.open(f"http://{hub.address}{path}", timeout=60) as answer:
            answer.read()
            return bool(answer.status == 200 and urllib.parse.urlsplit(answer.url).path == path)

    return open_page


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hanging", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
