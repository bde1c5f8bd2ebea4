"""Hubs with their own worker processes that read the simulator, and a Redis server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from simulator import SimulatedNamespace, Simulator
from tests.support.hubs import Hub
from tests.support.programs import require
from tests.support.servers import Redis

StartHub = Callable[..., tuple[Hub, str]]


@pytest.fixture
def start_hub(simulator: Simulator, bus: SimulatedNamespace) -> Iterator[StartHub]:
    """Start a hub with two worker processes and the namespace `payments`; return it and a token."""
    with ExitStack() as stack:

        def start(*, fields: dict[str, float] | None = None, **variables: str) -> tuple[Hub, str]:
            hub = Hub(
                {
                    "HUB_ALLOW_LOOPBACK": "1",
                    "HUB_CA_FILE": str(simulator.ca_file),
                    "HUB_WORKERS": "2",
                    "HUB_THREADS": "80",
                    **variables,
                }
            )
            stack.callback(hub.close)
            token = hub.prepare({bus.name: bus.connection_string}, **fields or {})
            hub.start()
            return hub, token

        yield start


@pytest.fixture
def redis() -> Iterator[Redis]:
    require("redis-server")
    with Redis() as server:
        yield server
