"""`python -m bench.pages`: the time and the size of every page, for an administrator, a team's owner and its viewer.

Fills a hub with tests.support.company (on SQLite, or as HUB_DATABASE_URL and the other settings specify), starts it and
requests each page a few times. The pages are those in tests/permissions.csv, plus the filters of lists. Exits with 1 if
a page takes 0.5 s (median) or has 150 kB (uncompressed).
"""

import argparse
import html
import http.client
import json
import os
import re
import statistics
import sys
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.hubs import Hub
from tests.support.permissions import pages_of

LIMIT_SECONDS = 0.5
LIMIT_BYTES = 150_000
# Exempt from the size limit, but not from the time limit: they grow with the configuration, and only Prometheus and
# people who download a file request them.
_OF_ANY_SIZE = ("/sd", "/metrics", "?export")
_MORE = (
    "/admin/?q=namespace-00",
    "/admin/?state=up",
    "/admin/?page=50",
    "/admin/changes/?q=namespace-00",
    "/admin/exporters/namespace/?team=team-0000",
    "/admin/autocomplete/?app_label=exporters&model_name=namespace&field_name=credential&term=00",
    "/admin/autocomplete/?app_label=exporters&model_name=scrapetoken&field_name=namespaces&term=00",
)
# A credential that every team may use.
_MORE_OF_ADMINISTRATORS = ("/admin/exporters/credential/{identity}/change/",)


@dataclass(frozen=True, slots=True)
class Measured:
    """A page as one user gets it. `seconds` has the time of each response."""

    user: str
    path: str
    status: int
    size: int
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def is_slow(self) -> bool:
        return self.median >= LIMIT_SECONDS

    @property
    def is_large(self) -> bool:
        return self.size >= LIMIT_BYTES and not any(part in self.path for part in _OF_ANY_SIZE)


class Browser:
    """A client that sends requests to a hub over one connection, with a session. `address`: host and port."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)
        self._cookies: dict[str, str] = {}

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        return self._ask("GET", path, None, headers or {})

    def sign_in(self, user: str, password: str) -> None:
        _, page = self.get("/admin/login/")
        found = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found is not None
        form = {"username": user, "password": password, "csrfmiddlewaretoken": found[1].decode()}
        status = self.post("/admin/login/", form)
        if status != 302:
            raise RuntimeError(f"{user} can't sign in: {status}")

    def post(self, path: str, form: dict[str, str]) -> int:
        """Send a form; return the status."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", path, urllib.parse.urlencode(form), headers)[0]

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, bytes]:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        self._connection.request(method, path, body, {**headers, "Cookie": cookies})
        answer = self._connection.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer.status, answer.read()


def measure(address: str, company: dict[str, Any], rounds: int = 3) -> list[Measured]:
    """Time every page of a running hub; `company` is what tests.support.company printed."""
    found = []
    for user, name in company["users"].items():
        browser = Browser(address)
        browser.sign_in(name, company["password"])
        todo = [*pages_of(user, company), *_more(user, company)]
        for path in todo:  # grows as lists add their links
            measured, page = _measure(browser, user, path, rounds)
            found.append(measured)
            if "?" not in path:
                todo += [link for link in _links(path, page) if link not in todo]
    bearer = {"Authorization": f"Bearer {company['scrape_token']}"}
    machine = Browser(address)
    found += [_measure(machine, "token", path, rounds, bearer)[0] for path in ("/sd", "/metrics")]
    return found


def _more(user: str, company: dict[str, Any]) -> Iterator[str]:
    yield from _MORE
    if user == "administrator":
        yield from (path.format(**company) for path in _MORE_OF_ADMINISTRATORS)


def _links(path: str, page: bytes) -> Iterator[str]:
    """Yield one of the page's links to itself for each set of parameters."""
    told = set()
    for link in re.findall(r'href="(\?[^"#]+)"', page.decode(errors="replace")):
        query = html.unescape(link)
        names = frozenset(urllib.parse.parse_qs(query[1:]))
        if names and names not in told:
            told.add(names)
            yield path + query


def _measure(
    browser: Browser, user: str, path: str, rounds: int, headers: dict[str, str] | None = None
) -> tuple[Measured, bytes]:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        status, page = browser.get(path, headers)
        seconds.append(time.perf_counter() - started)
    return Measured(user, path, status, len(page), tuple(seconds)), page


def report(found: list[Measured], most: int = 15) -> bool:
    """Print the pages over a limit or failed, then the slowest and largest; return whether all pages are good."""
    bad = [each for each in found if each.is_slow or each.is_large or each.status != 200]
    slowest = sorted(found, key=lambda each: -each.median)[:most]
    largest = sorted(found, key=lambda each: -each.size)[:most]
    for title, pages in (("above a limit", bad), ("slowest", slowest), ("largest", largest)):
        print(f"\n{title}: {len(pages)} of {len(found)} pages")
        for each in pages:
            print(
                f"  {each.median * 1000:6.0f} ms (worst {max(each.seconds) * 1000:6.0f}) {each.size / 1000:7.0f} kB "
                f"{each.status} {each.user:<13} {each.path}"
            )
    return not bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespaces", type=int, default=10_000)
    parser.add_argument("--teams", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="print every page")
    options = parser.parse_args()
    variables = {"HUB_LOG_LEVEL": "warning", "HUB_WORKERS": "1"}
    if "HUB_DATABASE_URL" in os.environ:  # with its keys, which a deployed hub never creates itself
        variables |= {name: value for name, value in os.environ.items() if name.startswith("HUB_")}
    hub = Hub(variables)
    hub.manage("prepare")
    wanted = {"namespaces": options.namespaces, "teams": options.teams}
    company = json.loads(hub.manage(module="tests.support.company", text=json.dumps(wanted)))
    with hub:
        found = measure(hub.address, company, options.rounds)
    return 0 if report(found, len(found) if options.all else 15) else 1


if __name__ == "__main__":
    sys.exit(main())
