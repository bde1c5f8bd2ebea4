"""`python -m simulator` as users start it, in a separate process."""

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simulator.signatures import sign

from .asking import plain

ROOT = Path(__file__).parents[2]


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "simulator", *map(str, arguments)]


@contextmanager
def _started(
    tmp_path: Path, *arguments: str | Path
) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    ready = tmp_path / "ready.json"
    ready.unlink(missing_ok=True)
    process = subprocess.Popen(
        _command("--ready-file", ready, *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield json.loads(ready.read_text()), process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _titles(state: dict[str, Any], namespace: str) -> int:
    parts = dict(
        part.split("=", 1) for part in state["namespaces"][namespace]["connection_string"].split(";")
    )
    header = sign(
        f"https://localhost:{state['port']}/",
        parts["SharedAccessKeyName"],
        parts["SharedAccessKey"],
        int(time.time()) + 60,
    )
    context = ssl.create_default_context(cafile=state["ca_file"])
    connection = http.client.HTTPSConnection("localhost", state["port"], context=context, timeout=20)
    try:
        connection.request("GET", "/$Resources/queues?api-version=2021-05", headers={"Authorization": header})
        response = connection.getresponse()
        assert response.status == 200
        return response.read().count(b"<entry")
    finally:
        connection.close()


def test_it_runs_from_a_definition_and_is_the_same_the_next_time(tmp_path: Path) -> None:
    definition = tmp_path / "definition.yaml"
    definition.write_text("namespaces: [{name: demo, generate: {queues: 42}, drift: true}]")
    arguments = ("--definition", definition, "--directory", tmp_path / "kept")
    with _started(tmp_path, *arguments, "--control-port", "0") as (first, process):
        assert _titles(first, "demo") == 42
        assert plain("GET", f"{first['control_url']}/namespaces/demo")[1]["requests"]["by_status"] == {
            "200": 1
        }
        assert (tmp_path / "ready.json").stat().st_mode & 0o077 == 0
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0
    assert f"demo  {first['namespaces']['demo']['connection_string']}" in output
    assert f"CA file  {first['ca_file']}" in output
    with _started(tmp_path, *arguments) as (second, process):
        for part in ("port", "ca_file"):
            assert second[part] == first[part]
        string = "connection_string"
        assert second["namespaces"]["demo"][string] == first["namespaces"]["demo"][string]
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_without_a_definition_it_shows_an_example(tmp_path: Path) -> None:
    with _started(tmp_path) as (state, _):
        assert _titles(state, "example") == 2


def test_mistakes_end_it_with_a_sentence(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("namespaces: [{name: demo, colour: red}]")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, message in (
            (("--definition", wrong), "wrong.yaml: the namespace demo has no colour"),
            (("--definition", tmp_path / "missing.yaml"), "can't be read"),
            (("--port", port), f"port {port}: Address already in use. Stop the program that uses it"),
            (("--control-port", port), f"--control-port {port}: Address already in use"),
        ):
            done = subprocess.run(_command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 1
            assert message in done.stderr
            assert "Traceback" not in done.stderr
