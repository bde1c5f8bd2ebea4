"""A scrape passes through the packages downward: no function calls one of a package above its own."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.test import Client

from exporters.models import Credential, LabelRule
from exporters.scraping import reading
from exporters.servicebus.errors import Reason
from exporters.servicebus.events import Event, Events
from simulator import SimulatedNamespace
from tests.web.conftest import AddTarget, add_target, hub, scraper, team, token

__all__ = ["add_target", "hub", "scraper", "team", "token"]

ROOT = Path(__file__).resolve().parents[2]
APP = f"{ROOT / 'exporters'}/"
# From the top. CONTRIBUTING.md has the same list.
ROOMS = (
    *("views", "access", "scraping", "shared_state", "telemetry", "configuration", "models", "credentials"),
    *("concurrency_limit", "prometheus", "servicebus"),
)
# On PostgreSQL, queries open sessions through it. It is below `models`.
_SESSIONS = "database_sessions"
# Dependencies that are passed down as arguments: the reader calls them, and doesn't know where they come from.
HANDED_DOWN = {
    "scraping/budgets.py": "the namespace's bucket in the shared state (servicebus.budget.Update and Proof)",
}
# Runs what it is given on the I/O loop, so its frame is below that of every coroutine.
LOOP = "servicebus/loop.py"

Call = tuple[str, str]  # the caller's and the callee's file, below exporters/


def _file(frame: FrameType) -> str | None:
    name = frame.f_code.co_filename
    return name.removeprefix(APP) if name.startswith(APP) else None


@contextmanager
def calls_between_files() -> Iterator[set[Call]]:
    """Collect the calls from file to file below exporters/, of this thread and of those that it starts."""
    found: set[Call] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        # A lambda is an argument of a call that goes down.
        if event != "call" or (callee := _file(frame)) is None or frame.f_code.co_name == "<lambda>":
            return
        above = frame.f_back
        while above is not None and _file(above) is None and above.f_globals.get("__name__") != "logging":
            above = above.f_back
        caller = _file(above) if above is not None else None
        if caller not in (None, callee, LOOP):
            found.add((str(caller), callee))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _room(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def _upward(calls: set[Call]) -> set[Call]:
    """Return the calls that go up, or leave the list of packages."""
    places = {room: place for place, room in enumerate((*ROOMS, _SESSIONS))}
    return {
        (caller, callee)
        for caller, callee in calls
        if not places[_room(caller)] <= places.get(_room(callee), -1) and callee not in HANDED_DOWN
    }


def test_a_scrape_flows_one_way(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client, settings: Any
) -> None:
    namespace = add_target(bus, requests_per_second=10, burst=5)
    LabelRule.objects.create(team=namespace.team, source_labels=["name"], target_label="domain", position=1)
    credential = Credential.objects.get()
    credential.spare_secret = bus.connection_string
    credential.secret = bus.connection_string.replace(bus.key, "d3Jvbmc=" * 4)
    credential.save()
    scraper.get("/metrics/payments")  # imports what is imported late
    bus.faults.set("throttle", times=1)
    reading.close()  # the loop's thread starts during the scrape
    with calls_between_files() as calls:
        for accept in ("", "application/openmetrics-text;version=1.0.0"):
            answer = scraper.get("/metrics/payments", headers={"Accept": accept, "Accept-Encoding": "gzip"})
            assert answer.status_code == 200
        reading.close()
    rooms = {_room(file) for call in calls for file in call}
    assert rooms - {_SESSIONS} == set(ROOMS)
    assert _upward(calls) == set()
    assert {callee for caller, callee in calls if callee in HANDED_DOWN} == set(HANDED_DOWN)


def test_a_call_that_goes_up_is_found(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_target(bus)
    scraper.get("/metrics/payments")
    monkeypatch.setattr(reading, "_events", Noisy())
    reading.close()
    with calls_between_files() as calls:
        assert scraper.get("/metrics/payments").status_code == 200
        reading.close()
    assert _upward(calls) == {("servicebus/client.py", "scraping/reading.py")}


class Noisy(Events):
    """Calls a package above the client whenever the client adds an event."""

    def append(self, event: Event) -> None:
        reading.failed(Reason.INTERNAL, "")
        super().append(event)


def test_contributing_lists_the_rooms_of_a_scrape() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("### The path of a scrape")[2].partition("\n## ")[0]
    listed = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    assert [_room(name.removeprefix("exporters/")) for name in listed] == list(ROOMS)
