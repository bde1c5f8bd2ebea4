"""`make run`: prepare the database and start the hub, optionally with a demo."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from exporters.management import probe, startup

_EXAMPLES = Path(settings.BASE_DIR) / "examples"
_START_SECONDS = 60
_STOP_SECONDS = 40  # above gunicorn's graceful timeout
Child = subprocess.Popen[bytes]


class Command(BaseCommand):
    help = (
        "Prepare the database and start the hub. With --demo, also start a simulated Service Bus and, in an empty "
        "hub, add three namespaces that read it. Ctrl-C stops everything."
    )
    # The checks would query a database that is not migrated yet. `prepare` reports unreadable secrets once it is, and
    # gunicorn checks the settings when it starts.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="start the simulator with three namespaces")

    def handle(self, *args: Any, demo: bool, **options: Any) -> None:
        _refuse_a_port_in_use(settings.HUB_PORT)
        # SIGINT as well: it is ignored if a shell starts this in the background.
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, _interrupt)
        children: list[Child] = []
        try:
            token = None
            # The children load the settings again: this process loaded its settings before it parsed --demo.
            environment = dict(os.environ)
            if demo:
                token = _kept(settings.HUB_DATA_DIR / "demo" / "token")
                ready = _start_simulator(children)
                environment |= _demo_environment(ready, token)
            _prepare(environment, demo)
            children.append(_start([sys.executable, "-m", "gunicorn", "-c", "hub/gunicorn.py"], environment))
            _wait_until_healthy(children)
            self._tell(token)
            _wait_for_the_first_to_end(children)
        except KeyboardInterrupt:
            self.stdout.write("\nStopping.")
        finally:
            _stop(children)

    def _tell(self, token: str | None) -> None:
        administrator = startup.ensure_administrator()
        password = administrator.password or "(as set in HUB_ADMIN_PASSWORD)"
        lines = [
            "",
            f"  Admin     {settings.HUB_EXTERNAL_URL}/admin/",
            f"  User      {administrator.username}",
            f"  Password  {password}",
        ]
        if token:
            lines += [
                "",
                "  To scrape the large demo namespace like Prometheus (or demo-small, or demo-wrong-key):",
                f'  curl -H "Authorization: Bearer {token}" {settings.HUB_EXTERNAL_URL}/metrics/demo-large',
            ]
        self.stdout.write("\n".join([*lines, "", "  Ctrl-C stops everything.", ""]))
        self.stdout.flush()


def _refuse_a_port_in_use(port: int) -> None:
    families = [socket.AF_INET, *([socket.AF_INET6] if socket.has_dualstack_ipv6() else [])]
    for family in families:
        with socket.socket(family) as probe:
            # As gunicorn does, so that connections of a previous run that are still closing don't block the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                raise CommandError(
                    f"Port {port} is in use. Stop the program that uses it, or choose another port: "
                    f"HUB_PORT={port % 65535 + 1} make run"
                ) from None


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _kept(path: Path) -> str:
    """Return the demo's scrape token, made on the first run and then kept, so that pasted copies stay valid."""
    if not path.is_file():
        startup.write_private(path, "sbh_" + secrets.token_urlsafe(32) + "\n")
    return path.read_text(encoding="utf-8").strip()


def _start(command: list[str], environment: Mapping[str, str] | None = None) -> Child:
    # In its own session, so that Ctrl-C only reaches this process, which then stops the children in order.
    return subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR, start_new_session=True)  # noqa: S603


def _start_simulator(children: list[Child]) -> dict[str, Any]:
    """Start the simulated Service Bus and return its ready file's content. Keys and port are kept between runs."""
    folder = settings.HUB_DATA_DIR / "demo"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ready = folder / "simulator.json"
    ready.unlink(missing_ok=True)
    definition = _EXAMPLES / "demo-simulator.yaml"
    command = [sys.executable, "-m", "simulator", "--definition", str(definition), "--directory", str(folder)]
    with open(folder / "simulator.log", "wb") as log:  # its connection strings would clutter the terminal
        children.append(
            subprocess.Popen(  # noqa: S603 - our own command
                [*command, "--ready-file", str(ready)],
                cwd=settings.BASE_DIR,
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        )
    deadline = time.monotonic() + _START_SECONDS
    while not ready.is_file():
        if children[-1].poll() is not None or time.monotonic() > deadline:
            said = (folder / "simulator.log").read_text(encoding="utf-8", errors="replace").strip()
            raise CommandError(f"The simulated Service Bus did not start: {said[-500:]}")
        time.sleep(0.05)
    told: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
    return told


def _demo_environment(simulator: dict[str, Any], token: str) -> dict[str, str]:
    """Return the variables for reading the simulator: its CA, permission to connect to loopback, and the secrets."""
    strings = {name: namespace["connection_string"] for name, namespace in simulator["namespaces"].items()}
    wrong = strings["demo-wrong-key"].partition("SharedAccessKey=")[0] + "SharedAccessKey=d3Jvbmc="
    return {
        "HUB_ALLOW_LOOPBACK": "1",
        "HUB_CA_FILE": simulator["ca_file"],
        "HUB_DEMO_SMALL": strings["demo-small"],
        "HUB_DEMO_LARGE": strings["demo-large"],
        "HUB_DEMO_WRONG_KEY": wrong,
        "HUB_DEMO_TOKEN": token,
    }


def _prepare(environment: Mapping[str, str], demo: bool) -> None:
    _manage(environment, "prepare")
    # Keep whatever was changed or deleted since the first run.
    if demo and startup.database_is_empty():
        _manage(environment, "apply_config", str(_EXAMPLES / "demo.yaml"))


def _manage(environment: Mapping[str, str], *command: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own commands
        [sys.executable, "manage.py", *command], env=environment, cwd=settings.BASE_DIR, check=False
    )
    if done.returncode:
        raise CommandError(f"`manage.py {command[0]}` failed. See the messages above.")


def _wait_until_healthy(children: list[Child]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and all(child.poll() is None for child in children):
        try:
            probe.status("/-/ready", port=settings.HUB_PORT, is_tls=bool(settings.HUB_TLS_CERT_FILE))
            return
        except OSError:
            time.sleep(0.1)
    raise CommandError("The hub did not start. See the messages above.")


def _wait_for_the_first_to_end(children: list[Child]) -> None:
    while all(child.poll() is None for child in children):
        time.sleep(0.3)
    raise CommandError("A part of the hub has stopped unexpectedly. See the messages above.")


def _stop(children: list[Child]) -> None:
    """Stop all children, the hub before the simulator. Another Ctrl-C kills them without waiting for open requests."""
    try:
        for child in reversed(children):
            if child.poll() is None:
                child.terminate()
                child.wait(_STOP_SECONDS)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        for child in children:
            # Each child leads its own process group, so this also kills gunicorn's workers.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
