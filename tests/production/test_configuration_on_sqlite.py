"""The configuration is read in the background on SQLite as well."""

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from .conftest import Holder, hub_environment, migrate

pytestmark = pytest.mark.e2e


def test_a_change_of_one_process_is_seen_by_itself_at_once_and_by_the_others_soon(tmp_path: Path) -> None:
    environment = {
        **hub_environment(),
        "HUB_DATABASE_URL": f"sqlite:///{tmp_path / 'hub.sqlite3'}",
        "HUB_DATA_DIR": str(tmp_path / "data"),
        "HUB_RELOAD_SECONDS": "0.2",
    }
    migrate(environment)
    with ExitStack() as stack:
        one, other = (stack.enter_context(closing(Holder(environment))) for _ in range(2))
        assert other.do("current")["names"] == []
        for number in range(3):
            names = [f"orders-{each}" for each in range(number + 1)]
            one.do("add", name=names[-1])
            assert one.do("current")["names"] == names
            assert other.current_until(names)["age"] < 5
        assert other.do("forked")["names"] == names
        assert other.log() == ""
    assert not (tmp_path / "data/configuration.sealed").exists()
