"""A proxy set in the environment is not used, and the hub reports that."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import Simulator
from tests.support.hubs import Hub

from .conftest import ROOT

pytestmark = pytest.mark.e2e


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listener in place of the proxy, which would notice a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def test_scrapes_and_the_probe_go_directly_and_the_log_says_it_once(
    listener: socket.socket, tmp_path: Path
) -> None:
    proxy = f"http://user:pa55word@127.0.0.1:{listener.getsockname()[1]}"
    simulator = Simulator(directory=tmp_path)
    with simulator.running():
        bus = simulator.add_namespace("orders")
        bus.add_queue("work", active=3)
        hub = Hub(
            {
                "HTTPS_PROXY": proxy,
                "http_proxy": proxy,
                "HUB_ALLOW_LOOPBACK": "1",
                "HUB_CA_FILE": str(simulator.ca_file),
            }
        )
        try:
            token = hub.prepare({"orders": bus.connection_string})
            # This process connects to the hub directly, whatever proxy its own environment sets.
            hub.start()
            assert "servicebus_up 1.0" in hub.get("/metrics/orders", token)[1]
            hub.manage(module="hub.probe")
            with pytest.raises(TimeoutError):
                listener.accept()
            log = hub.log.read_text()
            assert log.count("HTTPS_PROXY, HTTP_PROXY: the hub doesn't use a proxy") == 1
            assert "pa55word" not in log
        finally:
            hub.close()


def test_the_deployment_check_says_it(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", "check", "--deploy"],
        cwd=ROOT,
        env={**kept, "HUB_DATA_DIR": str(tmp_path), "https_proxy": "http://proxy.example:3128"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "hub.W013" in done.stderr
    assert "HTTPS_PROXY: the hub doesn't use a proxy" in done.stderr
