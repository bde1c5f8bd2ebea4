"""`make run`: everything that it takes to see the hub at work, in one process group."""

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

from exporters import startup

_EXAMPLES = Path(settings.BASE_DIR) / "examples"
_SIMULATOR_START_SECONDS = 30


class Command(BaseCommand):
    help = "Prepare the database and start the hub; with --demo also a simulated Service Bus and namespaces that read it."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="start the simulator with three namespaces")

    def handle(self, *args: Any, demo: bool, **options: Any) -> None:
        _refuse_a_port_in_use(settings.HUB_PORT)
        children: list[subprocess.Popen[bytes]] = []
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            environment = dict(os.environ)
            token = None
            if demo:
                token = _kept(
                    settings.HUB_DATA_DIR / "demo" / "token", lambda: "sbh_" + secrets.token_urlsafe(32)
                )
                children.append(_start_simulator())
                environment |= _demo_environment(children[0], token)
            self._prepare(environment, demo)
            children.append(
                subprocess.Popen([sys.executable, "-m", "gunicorn", "-c", "hub/gunicorn.py"], env=environment)
            )
            _wait_until_healthy(children)
            self._tell(token)
            _wait_for_the_first_to_end(children)
        except KeyboardInterrupt:
            self.stdout.write("Stopping.")
        finally:
            _stop(children)

    def _prepare(self, environment: Mapping[str, str], demo: bool) -> None:
        # In a process of its own: the settings of this one were read before the demo's environment was known.
        commands = [["prepare"]]
        if demo:
            commands.append(["apply_config", str(_EXAMPLES / "demo.yaml"), "--into-empty"])
        for command in commands:
            done = subprocess.run([sys.executable, "manage.py", *command], env=environment, check=False)
            if done.returncode:
                raise CommandError(f"`manage.py {' '.join(command)}` failed; what to do stands above.")

    def _tell(self, token: str | None) -> None:
        administrator = startup.ensure_administrator()
        if administrator.password:
            password = administrator.password
        else:
            password = "as you have set it"  # noqa: S105 - words, no password
        lines = [
            "",
            f"  Admin     {settings.HUB_EXTERNAL_URL}/admin/",
            f"  User      {administrator.username}",
            f"  Password  {password}",
        ]
        if token:
            lines += [
                "",
                "  Scrape the large demo namespace as Prometheus does:",
                f'  curl -H "Authorization: Bearer {token}" {settings.HUB_EXTERNAL_URL}/metrics/demo-large',
                "  (or demo-small, or demo-wrong-key to see a failure)",
            ]
        self.stdout.write("\n".join([*lines, "", "  Ctrl-C stops everything.", ""]))


def _refuse_a_port_in_use(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            raise CommandError(
                f"Port {port} is in use. Stop what listens there, or choose another: HUB_PORT={port + 10} make run"
            ) from None


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _kept(path: Path, make: Any) -> str:
    if not path.is_file():
        startup.write_private(path, make() + "\n")
    return path.read_text(encoding="utf-8").strip()


def _start_simulator() -> subprocess.Popen[bytes]:
    """Start the simulated Service Bus; its certificates and keys are kept, so that a second run finds the same."""
    folder = settings.HUB_DATA_DIR / "demo"
    ready = folder / "simulator.json"
    ready.unlink(missing_ok=True)
    command = [
        "simulate",
        "--definition",
        str(_EXAMPLES / "demo-simulator.yaml"),
        "--directory",
        str(folder),
        "--ready-file",
        str(ready),
    ]
    process = subprocess.Popen([sys.executable, "manage.py", *command])
    deadline = time.monotonic() + _SIMULATOR_START_SECONDS
    while not ready.is_file():
        if process.poll() is not None or time.monotonic() > deadline:
            _stop([process])
            raise CommandError("The simulated Service Bus did not start; what went wrong stands above.")
        time.sleep(0.05)
    return process
