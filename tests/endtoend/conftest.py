"""One world for all tests of this folder, because starting it is slow. Each test adds its own namespaces."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator import Simulator
from tests.support import programs
from tests.support.hubs import Hub, deployed_settings
from tests.support.servers import PostgreSQL

from .world import World

LONG_AGO = datetime.now(UTC) - timedelta(hours=5)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep this folder's tests in one worker process of the run, because they share one world."""
    for item in items:
        if "tests/endtoend" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("endtoend"))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    for program in ("prometheus", "promtool", "postgres", "initdb"):
        programs.require(program)
    simulator = Simulator(directory=tmp_path_factory.mktemp("certificates"))
    with ExitStack() as stack:
        stack.enter_context(simulator.running())
        database = stack.enter_context(PostgreSQL())
        hub = Hub(
            {
                **deployed_settings(database.url(), "", str(simulator.ca_file)),
                "HUB_WORKERS": "2",
                "HUB_THREADS": "48",
                "HUB_CATALOG_SECONDS": "0.5",
            }
        )
        stack.callback(hub.close)
        hub.variables["HUB_EXTERNAL_URL"] = f"http://localhost:{hub.port}"
        hub.manage("prepare")
        world = World(simulator, database, hub, "")
        _fill(world)
        world.token = world.seed(tokens={"prometheus": None, "of-orders": "orders"})["prometheus"]
        (world.prometheus.directory / "token").write_text(world.token)
        hub.start()
        stack.enter_context(world.prometheus)
        yield world


def _fill(world: World) -> None:
    """Two teams: a healthy namespace with something of everything, and one with a wrong key."""
    bus = world.simulator.add_namespace("orders-prod", sku="Standard")
    bus.add_queue("work", active=5, dead_letter=1, scheduled=2, accessed=LONG_AGO, size_bytes=20_000)
    bus.add_queue("switched-off", status="SendDisabled")
    topic = bus.add_topic("events", size_bytes=900)
    topic.add_subscription("billing", active=2, transfer=1, accessed=datetime.now(UTC))
    wrong = world.simulator.add_namespace("orders-stage")
    secret = wrong.connection_string.partition("SharedAccessKey=")[0] + "SharedAccessKey=d3Jvbmc="
    other = world.simulator.add_namespace("search-prod", sku="Premium", messaging_units=2)
    other.add_queue("changes", active=1)
    namespaces: list[dict[str, Any]] = [
        {
            "name": "orders-prod",
            "team": "orders",
            "secret": bus.connection_string,
            "labels": {"environment": "prod", "criticality": "high"},
            "expires_in_days": 3,
        },
        {"name": "orders-stage", "team": "orders", "secret": secret, "labels": {"environment": "stage"}},
        {
            "name": "search-prod",
            "team": "search",
            "secret": other.connection_string,
            "scrape_interval_seconds": 2,
            "scrape_timeout_seconds": 1.5,
        },
        {"name": "search-paused", "team": "search", "secret": other.connection_string, "enabled": False},
    ]
    world.seed(namespaces=namespaces)
