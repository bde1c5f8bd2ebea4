"""The copy's format: whatever a configuration can contain is restored unchanged."""

import sqlite3
from contextlib import closing
from dataclasses import make_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.configuration import loading
from exporters.configuration.disk_copy import _KINDS, _STATE, DiskCopy, State, _open, _seal
from exporters.configuration.targets import Limits, Target
from exporters.models import Team
from exporters.prometheus.relabel import Rule
from exporters.servicebus.entities import Failure
from exporters.servicebus.errors import Reason

st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(int, st.integers(-(2**63), 2**64 - 1))
st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))

TARGET = Target(
    name="orders",
    team="payments",
    enabled=True,
    host="orders.servicebus.windows.net",
    endpoint=None,
    credential=None,
    problem=Failure(Reason.CREDENTIAL, "it has no credential"),
    labels=(("env", "prod"),),
    include="",
    exclude="tmp-.*",
    groups=frozenset({"queues"}),
    limits=Limits(None, 30, 4, 10.0, 0.0, 60.0, 1000),
    scrape_interval_seconds=30.0,
    scrape_timeout_seconds=None,
)


@pytest.mark.parametrize("kind", _KINDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_part_of_a_configuration_comes_back_as_it_was(kind: str, data: st.DataObject) -> None:
    item = data.draw(st.from_type(_KINDS[kind]))
    assert _open(_KINDS[kind], kind, 1, _seal(kind, 1, item)) == item


def test_a_copy_of_the_former_version_is_read_with_the_defaults_of_what_it_lacks() -> None:
    former = make_dataclass("Former", [("separator", str), ("retired", int)])("-", 1)
    assert _open(Rule, "rules", 1, _seal("rules", 1, former)) == Rule(separator="-")


@pytest.mark.parametrize(
    "change",
    [
        {"name": 7},
        {"limits": None},
        {"limits": {}},
        {"labels": [["a"]]},
        {"groups": "all"},
        {"credential": 5},
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused(change: dict[str, Any]) -> None:
    target = msgspec.to_builtins(TARGET)
    assert _open(Target, "targets", 1, _seal("targets", 1, target)) == TARGET
    with pytest.raises(ValueError, match=r"Expected|missing"):
        _open(Target, "targets", 1, _seal("targets", 1, target | change))


def test_what_is_not_plain_data_is_refused_when_it_is_written() -> None:
    with pytest.raises(TypeError, match="object"):
        _seal("rules", 1, {"rule": object()})


@pytest.fixture
def folder(db: None, tmp_path: Path, settings: Any) -> Path:
    settings.HUB_DATA_DIR = tmp_path
    return tmp_path


def test_rows_in_another_versions_format_are_rewritten_although_nothing_has_changed(folder: Path) -> None:
    team = Team.objects.create(name="payments")
    loaded, copy = loading.everything(), DiskCopy()
    copy.keep(loaded)
    with closing(sqlite3.connect(copy.path)) as file, file:
        (sealed,) = file.execute("SELECT sealed FROM copy WHERE kind = ?", (_STATE,)).fetchone()
        state = msgspec.to_builtins(_open(State, _STATE, 0, sealed))
        del state["shape"]
        file.execute("UPDATE copy SET sealed = ? WHERE kind = ?", (_seal(_STATE, 0, state), _STATE))
        other = _seal("teams", team.pk, {"name": "in another format"})
        file.execute("UPDATE copy SET sealed = ? WHERE kind = 'teams'", (other,))
    assert copy.read() is None
    DiskCopy().keep(loaded)
    kept = copy.read()
    assert kept is not None
    assert kept[0] == loaded.configuration


def test_a_value_that_is_not_valid_text_costs_the_copy_and_nothing_else(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded, copy = loading.everything(), DiskCopy()
    for _ in range(2):
        copy.keep(replace(loaded, teams={1: "secret \udcff"}))
    (line,) = [record.getMessage() for record in caplog.records]
    assert "disk copy" in line
    assert "secret" not in line
    copy.keep(loaded)
    assert copy.read() is not None
