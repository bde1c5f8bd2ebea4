"""`python -m simulator`: run the simulated Service Bus in its own process."""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from . import Simulator
from .control import open_control, state
from .definition import DefinitionError, apply, read

_EXAMPLE = """
namespaces:
  - name: example
    queues: [{name: orders, active: 3, dead_letter: 1}, {name: team/invoices}]
    topics: [{name: events, subscriptions: [{name: billing, active: 2}, {name: shipping}]}]
"""


def main() -> None:
    """Run the simulator until it gets SIGINT or SIGTERM."""
    parser = _parser()
    options = parser.parse_args()
    try:
        _run(options)
    except CannotStartError as error:
        parser.exit(1, f"{error}\n")


class CannotStartError(Exception):
    """The simulator can't start; the message says why and how to fix it."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="Run a simulated Azure Service Bus management endpoint over TLS, with its own CA, until Ctrl-C. "
        "simulator/definition.py describes the definition file.",
    )
    parser.add_argument(
        "--definition", type=Path, help="YAML file that defines the namespaces (default: a small example)"
    )
    parser.add_argument(
        "--directory", type=Path, help="directory that keeps the CA, keys and port for the next run"
    )
    parser.add_argument(
        "--port", type=int, help="port of all namespaces (default: the directory's, or a free port)"
    )
    parser.add_argument("--control-port", type=int, help="port of the control API (0: a free port)")
    parser.add_argument(
        "--ready-file",
        type=Path,
        help="file that gets the addresses and keys as JSON once the simulator is ready",
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    stopped = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.set()

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, stop)
    kept_port = options.directory / "port" if options.directory is not None else None
    simulator = _make(options.directory, _chosen_port(options.port, kept_port))
    try:
        apply(read(_text(options.definition)), simulator)
        control = None if options.control_port is None else open_control(simulator, options.control_port)
    except DefinitionError as error:
        simulator.stop()
        raise CannotStartError(f"{options.definition or 'the example'}: {error}") from None
    except OSError as error:
        simulator.stop()
        raise CannotStartError(f"--control-port {options.control_port}: {error.strerror}") from None
    with simulator.running():
        if kept_port is not None:
            kept_port.write_text(f"{simulator.port}\n", encoding="ascii")
        for namespace in simulator.namespaces.values():
            print(f"{namespace.name}  {namespace.connection_string}")
        print(f"CA file  {simulator.ca_file}")
        if control is not None:
            print(f"Control  {control}")
        sys.stdout.flush()
        if options.ready_file is not None:
            _write_privately(
                options.ready_file, json.dumps({**state(simulator), "control_url": control}, indent=1)
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
        raise CannotStartError(
            f"{kept} doesn't contain a port number; remove it to use any free port"
        ) from None


def _make(directory: Path | None, port: int) -> Simulator:
    try:
        return Simulator(directory=directory, port=port, fast=True)
    except OSError as error:
        raise CannotStartError(
            f"port {port}: {error.strerror}. Stop the program that uses it, or choose another port with --port."
        ) from None


def _write_privately(path: Path, text: str) -> None:
    """Write it whole or not at all, readable by its owner only: it holds keys."""
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)


if __name__ == "__main__":
    main()
