"""One deployment for most tests of this folder, because starting it is slow. Each test adds its own namespaces."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator import Simulator
from tests.support import programs
from tests.support.hubs import Hub, deployed_settings
from tests.support.servers import PostgreSQL

from .deployment import Deployment

LONG_AGO = datetime.now(UTC) - timedelta(hours=5)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share the deployment in one worker process of the run."""
    for item in items:
        if "tests/endtoend" in item.path.as_posix() and "deployment" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("endtoend"))


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
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
                "HUB_RELOAD_SECONDS": "0.5",
            }
        )
        stack.callback(hub.close)
        hub.variables["HUB_EXTERNAL_URL"] = f"http://localhost:{hub.port}"
        token = _fill(simulator, hub)
        deployment = Deployment(simulator, database, hub, token)
        hub.start()
        stack.enter_context(deployment.prometheus)
        yield deployment


def _fill(simulator: Simulator, hub: Hub) -> str:
    """Store two teams, one of them with a namespace that has a wrong key; return a platform token."""
    bus = simulator.add_namespace("orders-prod", sku="Standard")
    bus.add_queue("work", active=5, dead_letter=1, scheduled=2, accessed=LONG_AGO, size_bytes=20_000)
    bus.add_queue("switched-off", status="SendDisabled")
    topic = bus.add_topic("events", size_bytes=900)
    topic.add_subscription("billing", active=2, transfer=1, accessed=datetime.now(UTC))
    wrong = simulator.add_namespace("orders-stage")
    secret = wrong.connection_string.partition("SharedAccessKey=")[0] + "SharedAccessKey=d3Jvbmc="
    other = simulator.add_namespace("search-prod", sku="Premium", messaging_units=2)
    other.add_queue("changes", active=1)
    namespaces: dict[str, dict[str, Any]] = {
        "orders-prod": {
            "team": "orders",
            "secret": bus.connection_string,
            "labels": {"environment": "prod", "criticality": "high"},
            "expires_in_days": 3,
        },
        "orders-stage": {"team": "orders", "secret": secret, "labels": {"environment": "stage"}},
        "search-prod": {
            "team": "search",
            "secret": other.connection_string,
            "scrape_interval_seconds": 2,
            "scrape_timeout_seconds": 1.5,
        },
        "search-paused": {"team": "search", "secret": other.connection_string, "enabled": False},
    }
    tokens = {"prometheus": None, "of-orders": "orders"}
    return hub.seed(prepare=True, namespaces=namespaces, tokens=tokens)[0]
