"""Whatever bug a scrape meets, it fails its namespace alone, and the bug is logged, counted and shown."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from exporters import actions, records, scrape, telemetry, trial, upstream
from exporters.catalog import target as target_of
from exporters.models import Namespace, NamespaceStatus, ScrapeRecord
from exporters.prometheus.collector import SnapshotCollector
from exporters.servicebus import atom
from exporters.simulator import SimulatedNamespace

AddTarget = Callable[..., Namespace]
SECRET = "SharedAccessKey of a body"

# The stages that a scrape passes through, from the request to the answer's bytes.
READING = [
    (scrape.flights, "answer"),
    (upstream, "read"),
    (upstream, "_source"),
    (upstream, "budget_for"),
    (upstream, "read_namespace"),
    (atom, "parse_queues"),
    (atom, "parse_namespace_info"),
    (telemetry.SCRAPE_DURATION, "observe"),
]
RENDERING = [
    (scrape, "label_rules"),
    (SnapshotCollector, "collect"),
    (scrape.text, "negotiate"),
    (scrape.text, "render"),
]


def _name(stage: tuple[Any, str]) -> str:
    return stage[1]


def _count(where: str) -> float:
    return telemetry.REGISTRY.get_sample_value("hub_internal_errors_total", {"where": where}) or 0.0


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[Any, str]], None]:
    """Return what makes a stage raise as a bug does."""

    def breaks(stage: tuple[Any, str]) -> None:
        def bug(*arguments: Any, **options: Any) -> None:
            raise ZeroDivisionError(SECRET)

        monkeypatch.setattr(*stage, bug)

    return breaks


@pytest.mark.parametrize(
    ("stage", "where"),
    [(stage, "reading") for stage in READING] + [(stage, "rendering") for stage in RENDERING],
    ids=lambda value: value if isinstance(value, str) else _name(value),
)
def test_a_bug_in_any_stage_of_a_scrape_is_answered_logged_counted_and_shown(
    stage: tuple[Any, str],
    where: str,
    breaks: Callable[[tuple[Any, str]], None],
    bus: SimulatedNamespace,
    add_target: AddTarget,
    scraper: Client,
    admin_client: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    namespace = add_target(bus)
    before = _count(where)
    breaks(stage)
    with caplog.at_level(logging.INFO):
        response = scraper.get("/metrics/payments")
    assert response.status_code == 200
    found = {
        (sample.name, sample.labels.get("reason")): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }
    assert found["servicebus_up", None] == 0
    assert found["servicebus_scrape_error", "internal"] == 1
    assert _count(where) > before
    assert "in bug" in caplog.text, "the frames of the traceback"
    assert "ZeroDivisionError" in caplog.text
    assert SECRET not in caplog.text
    records.recorder.flush()
    assert ScrapeRecord.objects.get().reason == "internal"
    assert NamespaceStatus.objects.get().reason == "internal"
    shown = admin_client.get(f"/admin/exporters/namespace/{namespace.pk}/status/").content.decode()
    assert "internal" in shown
    assert SECRET not in shown


@pytest.mark.parametrize("stage", [(upstream, "read"), (scrape.text, "render")], ids=_name)
def test_a_bug_fails_the_test_the_action_and_the_command_as_it_fails_a_scrape(
    stage: tuple[Any, str],
    breaks: Callable[[tuple[Any, str]], None],
    bus: SimulatedNamespace,
    add_target: AddTarget,
    capsys: pytest.CaptureFixture[str],
) -> None:
    namespace = add_target(bus)
    breaks(stage)
    tried = trial.run(target_of(namespace))
    assert not tried.ok
    assert "its log has the traceback" in tried.problem
    (outcome,) = actions.scrape_now([namespace])
    assert not outcome.ok
    with pytest.raises(SystemExit):
        call_command("scrape", namespace.name)
    printed = capsys.readouterr()
    assert 'reason="internal"' in printed.out
    assert "its log has the traceback" in printed.err


def test_a_record_that_can_not_be_made_fails_no_scrape(
    breaks: Callable[[tuple[Any, str]], None],
    bus: SimulatedNamespace,
    add_target: AddTarget,
    scraper: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_target(bus)
    before = _count("records")
    breaks((records, "count_series"))
    response = scraper.get("/metrics/payments")
    assert b"\nservicebus_up 1.0\n" in response.content
    assert _count("records") == before + 1
    assert SECRET not in caplog.text
