"""A pytest plugin (`-p tests.support.only_database`) that keeps only the tests that use the database."""

import pytest

_FIXTURES = {"db", "transactional_db", "django_db_setup", "live_server"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        asks = item.get_closest_marker("django_db") or _FIXTURES & set(getattr(item, "fixturenames", ()))
        # Tests that start their own servers choose their own database, so running them once is enough.
        (kept if asks and not item.get_closest_marker("e2e") else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept
