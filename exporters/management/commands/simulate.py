"""Runs the simulated Service Bus in a process of its own."""

import json
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from exporters.simulator import Simulator
from exporters.simulator.control import open_control, state
from exporters.simulator.definition import DefinitionError, apply, read

_EXAMPLE = """
namespaces:
  - name: example
    queues: [{name: orders, active: 3, dead_letter: 1}, {name: team/invoices}]
    topics: [{name: events, subscriptions: [{name: billing, active: 2}, {name: shipping}]}]
"""


class Command(BaseCommand):
    help = (
        "Run a simulated Azure Service Bus management endpoint over TLS, with a CA of its own, until Ctrl-C. "
        "What a definition may hold is described in exporters/simulator/definition.py."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--definition", type=Path, help="YAML file with the namespaces (a small example without)"
        )
        parser.add_argument(
            "--directory", type=Path, help="keeps CA, keys and port, so that the next run has the same"
        )
        parser.add_argument(
            "--port", type=int, help="port of all namespaces (a free one, or the directory's)"
        )
        parser.add_argument("--control-port", type=int, help="port that scripts change it by (0: a free one)")
        parser.add_argument(
            "--ready-file", type=Path, help="gets addresses and keys as JSON once everything answers"
        )

    def handle(
        self,
        *args: Any,
        definition: Path | None,
        directory: Path | None,
        port: int | None,
        control_port: int | None,
        ready_file: Path | None,
        **options: Any,
    ) -> None:
        stopped = threading.Event()

        def stop(signum: int, frame: FrameType | None) -> None:
            stopped.set()

        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, stop)
        kept_port = directory / "port" if directory is not None else None
        simulator = _make(directory, _chosen_port(port, kept_port))
        try:
            apply(read(_text(definition)), simulator)
            control = None if control_port is None else open_control(simulator, control_port)
        except DefinitionError as error:
            simulator.stop()
            raise CommandError(f"{definition or 'the example'}: {error}") from None
        except OSError as error:
            simulator.stop()
            raise CommandError(f"--control-port {control_port}: {error.strerror}") from None
        with simulator.running():
            if kept_port is not None:
                kept_port.write_text(f"{simulator.port}\n", encoding="ascii")
            for namespace in simulator.namespaces.values():
                self.stdout.write(f"{namespace.name}  {namespace.connection_string}")
            self.stdout.write(f"CA file  {simulator.ca_file}")
            if control is not None:
                self.stdout.write(f"Control  {control}")
            self.stdout.flush()
            if ready_file is not None:
                _write_privately(
                    ready_file, json.dumps({**state(simulator), "control_url": control}, indent=1)
                )
            stopped.wait()


def _text(definition: Path | None) -> str:
    if definition is None:
        return _EXAMPLE
    try:
        return definition.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"can't be read: {error}") from None


def _chosen_port(port: int | None, kept: Path | None) -> int:
    if port is not None or kept is None or not kept.is_file():
        return port or 0
    try:
        return int(kept.read_text(encoding="ascii"))
    except ValueError:
        raise CommandError(f"{kept} holds no port number; remove it to have a free port chosen") from None


def _make(directory: Path | None, port: int) -> Simulator:
    try:
        return Simulator(directory=directory, port=port, fast=True)
    except OSError as error:
        raise CommandError(
            f"port {port}: {error.strerror}. Stop what listens there, or choose another with --port."
        ) from None


def _write_privately(path: Path, text: str) -> None:
    """Write it whole or not at all, readable by its owner only: it holds keys."""
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)
