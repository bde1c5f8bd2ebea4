"""A hub with a namespace for each row of the failure fault_table."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from simulator import Simulator
from tests.support.hubs import Hub

from . import fault_table

TOKEN = "sbh_the-failure-matrix-of-a-throw-away-hub"


@dataclass
class Scene:
    hub: Hub
    simulator: Simulator


@pytest.fixture(scope="module")
def scene(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as stack:
        simulator = Simulator(directory=certificates)
        stack.enter_context(simulator.running())
        config, variables = fault_table.build(simulator)
        file = tmp_path_factory.mktemp("matrix") / "hub.yaml"
        file.write_text(yaml.safe_dump(config))
        hub = Hub(
            {
                "HUB_ALLOW_LOOPBACK": "1",
                "HUB_CA_FILE": str(simulator.ca_file),
                "HUB_CONFIG": str(file),
                "HUB_WORKERS": "2",
                "HUB_THREADS": "80",
                "MATRIX_TOKEN": TOKEN,
                **variables,
            }
        )
        stack.callback(hub.close)
        hub.manage("prepare")
        hub.start()
        yield Scene(hub, simulator)
