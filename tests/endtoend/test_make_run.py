"""`make run` and deploy/prometheus/prometheus.yml work together: the demo's namespaces are scraped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.hubs import Hub
from tests.support.servers import free_port, wait_for

from .deployment import PATIENCE_SECONDS, ROOT, ShippedPrometheus, shorter

pytestmark = pytest.mark.e2e


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port and the folder of a running `make run`."""
    programs.require("prometheus")
    port, folder = free_port(), tmp_path / "var"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    variables = {**kept, "HUB_PORT": str(port), "HUB_DATA_DIR": str(folder), "HUB_WORKERS": "1"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run", "--demo"], cwd=ROOT, env=variables, stdout=log, stderr=log
        )
    try:
        asked = Hub({})
        asked.port = port
        wait_for(
            lambda: process.poll() is not None or asked.get("/-/ready")[0] == 200,
            "make run",
            PATIENCE_SECONDS,
        )
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield port, folder
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_the_demos_namespaces_are_targets_with_their_labels(demo: tuple[int, Path]) -> None:
    port, folder = demo
    token = (folder / "demo" / "token").read_text()
    expected = {"demo-small": 1, "demo-large": 1, "demo-wrong-key": 0}
    with ShippedPrometheus(f"localhost:{port}", token, change=shorter) as prometheus:
        wait_for(lambda: prometheus.values("servicebus_up") == expected, "all are scraped", PATIENCE_SECONDS)
        large = prometheus.targets()["demo-large"]["labels"]
        assert {name: large[name] for name in ("team", "environment", "criticality")} == {
            "team": "demo",
            "environment": "demo",
            "criticality": "high",
        }
        wait_for(
            lambda: prometheus.query('up{job="servicebus-hub"} == 1') != [], "so is the hub", PATIENCE_SECONDS
        )
