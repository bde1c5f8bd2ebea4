"""Read `tests/permissions.csv`: each row is a case for one user, several users or a group."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs

from django.urls import URLPattern, URLResolver, get_resolver, resolve

from tests.support.permissions import rows

from .people import GROUPS, PEOPLE, TOKENS


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    user: str
    method: str
    url: str  # with placeholders: {namespace}
    status: int
    data: str  # the form of a POST, as a query string

    def form(self, objects: dict[str, object]) -> dict[str, list[str]]:
        return parse_qs(self.data.format(**objects), keep_blank_values=True)


def cases() -> list[Case]:
    """Return the table with one case for each user."""
    found: dict[tuple[str, str, str, str], Case] = {}
    for row in rows():
        for user in (one for name in row["user"].split() for one in GROUPS.get(name, (name,))):
            case = Case(
                row["case"], user, row["method"], row["url"], int(row["expected status"]), row["data"]
            )
            key = (case.name, case.method, case.url, user)
            assert user in PEOPLE + TOKENS, f"nobody is called {user}"
            assert key not in found, f"{key} stands twice in the table"
            found[key] = case
    return list(found.values())


def everybody(url: str) -> tuple[str, ...]:
    """Return who must try an address: everyone, plus scrape tokens where Prometheus sends requests."""
    return PEOPLE + TOKENS if is_for_machines(url) else PEOPLE


def is_for_machines(url: str) -> bool:
    return url.split("?")[0].split("/")[1] in {"metrics", "sd", "-"}


def route(url: str) -> str:
    return str(resolve(url.split("?")[0]).route)


def routes() -> Iterator[str]:
    """Yield every route of the project, as `resolve` names it."""

    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[str]:
        for pattern in patterns:
            here = prefix + str(pattern.pattern).removeprefix("^")  # joined in the same way as in resolve
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, here)
            else:
                yield here

    yield from walk(get_resolver().url_patterns, "")
