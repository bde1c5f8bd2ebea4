"""`manage.py prepare`, as run by hubs that start at the same time."""

import json

import pytest

from tests.support.hubs import Hub, deployed_settings
from tests.support.servers import PostgreSQL, wait_for

from .conftest import manage


@pytest.mark.e2e
def test_hubs_that_start_together_prepare_the_database_one_after_the_other(
    environment: dict[str, str], postgresql: PostgreSQL
) -> None:
    postgresql.sql("DROP DATABASE hub WITH (FORCE)", database="postgres")
    postgresql.sql("CREATE DATABASE hub", database="postgres")
    variables = {**environment, "HUB_ADMIN_PASSWORD": "correct-horse"}
    hubs = [manage(variables, "prepare") for _ in range(3)]
    assert [hub.wait(180) for hub in hubs] == [0, 0, 0]
    assert postgresql.sql("SELECT count(*) FROM auth_user") == "1"


class Unprepared(Hub):
    def is_up(self) -> bool:
        return self.get("/-/healthy")[0] == 200


@pytest.mark.e2e
def test_a_hub_that_starts_before_the_database_is_migrated_is_healthy_and_ready_as_soon_as_it_is(
    postgresql: PostgreSQL,
) -> None:
    # As with the pods of the first `kubectl apply`, which start alongside the Job that prepares the database.
    postgresql.sql("DROP DATABASE hub WITH (FORCE)", database="postgres")
    postgresql.sql("CREATE DATABASE hub", database="postgres")
    hub = Unprepared(deployed_settings(postgresql.url(), "", ""))
    try:
        hub.start()
        status, body = hub.get("/-/ready")
        assert (status, json.loads(body)["ready"]) == (503, False)
        assert "never read" in json.loads(body)["checks"]["configuration"]
        hub.manage("prepare")
        wait_for(lambda: hub.get("/-/ready")[0] == 200, "it is ready")
    finally:
        hub.close()
