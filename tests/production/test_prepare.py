"""`manage.py prepare`, as hubs that start together run it."""

import pytest

from bench.servers import PostgreSQL

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
