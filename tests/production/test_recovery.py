"""A real hub loses PostgreSQL and Redis and is restarted; scrapes of its namespaces go on."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.support import programs
from tests.support.hubs import Hub, Simulated, deployed_settings
from tests.support.servers import PostgreSQL, Redis, wait_for

pytestmark = pytest.mark.e2e


@dataclass
class Deployment:
    hub: Hub
    database: PostgreSQL
    cache: Redis
    token: str
    namespaces: list[str]

    def exposition(self) -> dict[str, list[str]]:
        """Return the Service Bus samples of each namespace, without those about the scrape itself."""
        shown = {}
        for name in self.namespaces:
            status, body = self.hub.get(f"/metrics/{name}", self.token)
            assert status == 200, body
            shown[name] = [line for line in body.splitlines() if not line.startswith("servicebus_scrape_")]
            assert "servicebus_up 1" in body
        return shown

    def ready(self) -> list[str]:
        status, body = self.hub.get("/-/ready")
        assert status == 200, body
        found: list[str] = json.loads(body)["degraded"]
        return found


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    for name in ("postgres", "initdb", "redis-server", "psql"):
        programs.require(name)
    with ExitStack() as stack:
        simulated = stack.enter_context(Simulated(3, 5, 0))
        database, cache = stack.enter_context(PostgreSQL()), stack.enter_context(Redis())
        hub = Hub({**deployed_settings(database.url(), cache.url, simulated.ca_file), "HUB_WORKERS": "1"})
        stack.callback(hub.close)
        token = hub.prepare(simulated.namespaces)
        hub.start()
        yield Deployment(hub, database, cache, token, list(simulated.namespaces))


def test_with_postgresql_and_redis_down_a_restarted_hub_answers_scrapes_and_says_what_is_degraded(
    deployment: Deployment,
) -> None:
    before = deployment.exposition()
    assert deployment.ready() == []
    deployment.database.stop()
    deployment.cache.stop()
    deployment.hub.stop()
    deployment.hub.start()
    assert deployment.exposition() == before
    wait_for(
        lambda: deployment.ready() == ["database", "keys", "shared_state"], "readiness tells what is lost", 60
    )
    deployment.database.start()
    deployment.cache.start()

    def is_whole() -> bool:
        deployment.exposition()  # the hub notices on its next use that Redis is back
        return deployment.ready() == []

    wait_for(is_whole, "everything is well again", 90)
