"""The rows of tests/permissions.csv, and the pages that a user can open, without Django."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The values of the table's user column that apply to each user.
_CALLED = {
    "administrator": {"admin", "everybody"},
    "owner": {"owner", "members", "everybody"},
    "viewer": {"viewer", "members", "everybody"},
}


def rows() -> list[dict[str, str]]:
    with (Path(__file__).parent.parent / "permissions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pages_of(user: str, objects: dict[str, Any]) -> Iterator[str]:
    """Yield the addresses that this user can open with GET; `objects` are the values of their placeholders."""
    urls = {
        row["url"]: None  # a dictionary keeps the order
        for row in rows()
        if row["method"] == "GET"
        and row["expected status"] == "200"
        and _CALLED[user] & set(row["user"].split())
        and not row["url"].startswith("/metrics")
    }
    yield from (url.format(**objects) for url in urls)
