"""Rotate every key while a namespace is scraped every 200 ms.

The namespace's keys are regenerated on the simulator and changed in the hub's admin as docs/operations.md describes,
both with the spare slot and without preparation. The encryption keys are changed in their file, the stored secrets are
re-encrypted, and the former key is removed.
"""

import base64
import http.cookiejar
import os
import re
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from simulator import SimulatedNamespace, Simulator

from .hubs import Hub, deployed_settings, unhealthy_lines
from .servers import PostgreSQL

_INTERVAL_SECONDS = 0.2
# Pause between two steps. A person takes longer; this is deliberately shorter than the hub needs to notice a change.
_PAUSE_SECONDS = 0.5
# Pause before regenerating a key that hubs may still use. A change reaches every process within 5 s; the rest is slack
# for this busy machine.
_SETTLED_SECONDS = 7.0
_KEYS = ("RootManageSharedAccessKey", "Second")


@dataclass
class Figures:
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    steps: dict[str, int] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)  # from the hub's log
    refused: int = 0  # requests that the simulator answered with 401


class Scraper:
    """Scrapes on schedule, even if the previous scrape is still running."""

    def __init__(self, hub: Hub, token: str, figures: Figures) -> None:
        self._hub = hub
        self._token = token
        self._figures = figures
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(32) as pool:
            due = time.monotonic()
            while not self._over.wait(max(0.0, due - time.monotonic())):
                pool.submit(self._scrape)
                due += _INTERVAL_SECONDS

    def _scrape(self) -> None:
        started = time.monotonic()
        status, body = self._hub.get("/metrics/rotated", self._token)
        self._figures.seconds.append(time.monotonic() - started)
        if (
            status != 200
            or "\nservicebus_up 1" not in body
            or 'servicebus_queue_active_messages{name="orders"}' not in body
        ):
            reason = re.findall(r'^servicebus_scrape_error\{reason="(\w+)"\} 1', body, re.MULTILINE)
            self._figures.failures.append(f"status {status} {' '.join(reason)}")


class Admin:
    """A user who changes a credential in the admin."""

    def __init__(self, hub: Hub, password: str) -> None:
        self._base = f"http://{hub.address}/admin/"
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))
        self._ask("login/")
        self._ask("login/", {"username": "admin", "password": password})
        found = re.search(r"/admin/exporters/credential/(\d+)/change/", self._ask("exporters/credential/"))
        assert found is not None, "the sign-in failed"
        self._credential = f"exporters/credential/{found[1]}/"
        choices = self._ask(self._credential + "change/")
        team = re.search(r'name="team".*?<option value="(\d+)" selected', choices, re.DOTALL)
        assert team is not None
        self._team = team[1]

    def put_into_spare(self, connection_string: str) -> None:
        form = {
            "name": "rotated-key",
            "team": self._team,
            "kind": "connection_string",
            "spare_secret": connection_string,
        }
        body = self._ask(self._credential + "change/", form)
        errors = re.findall(r'class="errorlist[^>]*>(.*?)</ul>', body, re.DOTALL)
        if errors:
            raise RuntimeError(f"the admin refuses the spare secret: {errors}")

    def spare(self, what: str, says: str) -> None:
        body = self._ask(self._credential + "spare/", {"do": what})
        if says not in body:
            said = re.findall(r'<li class="(?:success|error|warning)">(.*?)</li>', body, re.DOTALL)
            raise RuntimeError(f"{what}: the admin says {said}")

    def _ask(self, path: str, form: dict[str, str] | None = None) -> str:
        data = None
        if form is not None:
            token = next(cookie.value for cookie in self._jar if cookie.name == "csrftoken")
            data = urllib.parse.urlencode({**form, "csrfmiddlewaretoken": token or ""}).encode()
        with self._opener.open(self._base + path, data, timeout=60) as answer:
            body: str = answer.read().decode()
        return body


class Rotation:
    def __init__(self, hub: Hub, admin: Admin, bus: SimulatedNamespace, keys: Path) -> None:
        self._hub, self._admin, self._bus, self._keys = hub, admin, bus, keys

    def steps(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield the steps of one full rotation; afterwards everything is as before, with different keys."""
        first, second = _KEYS
        admin, bus = self._admin, self._bus
        # As documented: store the other key as the spare, test it, promote it; then regenerate the former key.
        yield "put into the spare slot", lambda: admin.put_into_spare(bus.connection_string_for(second))
        yield "spare tried out", lambda: admin.spare("test", "The spare secret works for rotated.")
        yield "promoted", lambda: admin.spare("promote", "is now active")
        yield "key regenerated", lambda: bus.add_key(first)
        yield "put into the spare slot", lambda: admin.put_into_spare(bus.connection_string_for(first))
        yield "encryption key added", lambda: self._write([*self._read(), _new_key()])
        yield "encryption key put first", lambda: self._write(list(reversed(self._read())))
        # Without preparation: the active key is regenerated, and the spare one takes over.
        yield "active key regenerated", lambda: bus.add_key(second)
        yield "secrets encrypted anew", lambda: self._hub.manage("reencrypt")
        yield "encryption key taken away", lambda: self._write(self._read()[:1])
        yield "promoted", lambda: admin.spare("promote", "is now active")
        yield "spare retired", lambda: admin.spare("retire", "was deleted")

    def _read(self) -> list[str]:
        return self._keys.read_text().split(",")

    def _write(self, keys: list[str]) -> None:
        # In one step, as Kubernetes and Docker do: a reader gets either the former file or the new one.
        new = self._keys.with_suffix(".new")
        new.write_text(",".join(keys))
        new.replace(self._keys)


def _new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def measure(seconds: float) -> Figures:
    """Run whole rotations, at least one, for at least `seconds` seconds; return the figures of the scrapes."""
    figures = Figures()
    with ExitStack() as stack:
        simulator = Simulator()
        stack.enter_context(simulator.running())
        bus = simulator.add_namespace("rotated", sku="Premium")
        bus.add_queue("orders", active=3)
        bus.add_topic("events").add_subscription("billing", active=2)
        for name in _KEYS:
            bus.add_key(name)
        database = stack.enter_context(PostgreSQL())
        hub = Hub(deployed_settings(database.url(), "", str(simulator.ca_file)))
        stack.callback(hub.close)
        keys = hub.directory / "keys"
        keys.write_text(hub.variables.pop("HUB_ENCRYPTION_KEYS"))
        hub.variables |= {"HUB_ENCRYPTION_KEYS_FILE": str(keys), "HUB_THREADS": "64"}
        # Five scrapes per second are more than a namespace's own budget is meant for.
        token = hub.prepare({"rotated": bus.connection_string}, requests_per_second=1000, burst=1000)
        hub.start()
        rotation = Rotation(hub, Admin(hub, hub.variables["HUB_ADMIN_PASSWORD"]), bus, keys)
        end = time.monotonic() + seconds
        with Scraper(hub, token, figures):
            while not figures.steps or time.monotonic() < end:
                for name, do in rotation.steps():
                    time.sleep(_SETTLED_SECONDS if name.endswith("regenerated") else _PAUSE_SECONDS)
                    do()
                    figures.steps[name] = figures.steps.get(name, 0) + 1
            time.sleep(_PAUSE_SECONDS)
        figures.refused = bus.requests.by_status[401]
        figures.alarms = unhealthy_lines(hub.log)
    return figures
