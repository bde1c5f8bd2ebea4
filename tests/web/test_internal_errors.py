"""Whatever bug a scrape encounters, only its namespace fails, and the bug is logged, counted and shown."""

import asyncio
import gc
import gzip
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from exporters.access import scrape_tokens
from exporters.configuration.derivation import target as target_of
from exporters.connection_test import run
from exporters.models import Namespace, NamespaceStatus, ScrapeRecord
from exporters.pages import actions
from exporters.prometheus.collector import SnapshotCollector
from exporters.scraping import reading, scrape, scrape_records
from exporters.servicebus import atom, tracebacks
from exporters.servicebus.errors import Reason
from exporters.servicebus.loop import IoLoop
from exporters.telemetry import metrics as telemetry
from exporters.views import metrics
from simulator import SimulatedNamespace
from tests.support.servers import wait_for

AddTarget = Callable[..., Namespace]
SECRET = "SharedAccessKey of a body"

# The stages that a scrape passes through, from the request to the bytes of the response.
READING = [
    (scrape.flights, "answer"),
    (reading, "read"),
    (reading, "_source"),
    (reading, "budget_for"),
    (reading, "read_namespace"),
    (atom, "parse_queues"),
    (atom, "parse_namespace_info"),
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
    """Return a function that makes a stage raise an exception, as a bug would."""

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
    scrape_records.recorder.flush()
    assert ScrapeRecord.objects.get().reason == "internal"
    assert NamespaceStatus.objects.get().reason == "internal"
    shown = admin_client.get(f"/admin/exporters/namespace/{namespace.pk}/status/").content.decode()
    assert "internal" in shown
    assert SECRET not in shown


@pytest.mark.parametrize("stage", [(reading, "read"), (scrape.text, "render")], ids=_name)
def test_a_bug_fails_the_test_the_action_and_the_command_as_it_fails_a_scrape(
    stage: tuple[Any, str],
    breaks: Callable[[tuple[Any, str]], None],
    bus: SimulatedNamespace,
    add_target: AddTarget,
    capsys: pytest.CaptureFixture[str],
) -> None:
    namespace = add_target(bus)
    breaks(stage)
    tested = run.run(target_of(namespace))
    assert not tested.ok
    assert "its log has the traceback" in tested.problem
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
    breaks((scrape_records, "count_series"))
    response = scraper.get("/metrics/payments")
    assert b"\nservicebus_up 1.0\n" in response.content
    assert _count("records") == before + 1
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "stage",
    [
        (MetricWrapperBase, "labels"),
        (Counter, "inc"),
        (Gauge, "inc"),
        (Gauge, "dec"),
        (Gauge, "set_to_current_time"),
        (Histogram, "observe"),
        (scrape_tokens.last_uses.tokens, "note"),
        (metrics, "compress"),
        (metrics, "accepts_gzip"),
    ],
    ids=_name,
)
def test_what_keeps_count_or_compresses_fails_no_scrape(
    stage: tuple[Any, str],
    breaks: Callable[[tuple[Any, str]], None],
    bus: SimulatedNamespace,
    add_target: AddTarget,
    scraper: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_target(bus)
    breaks(stage)
    response = scraper.get("/metrics/payments", headers={"Accept-Encoding": "gzip"})
    assert response.status_code == 200
    body = response.content
    if response.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    assert b"\nservicebus_up 1.0\n" in body
    assert "ZeroDivisionError" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "stage", [(reading, "endpoint"), (reading, "look_up"), (reading, "shake_hands")], ids=_name
)
def test_a_bug_before_the_read_is_a_step_of_the_connection_test(
    stage: tuple[Any, str],
    breaks: Callable[[tuple[Any, str]], None],
    bus: SimulatedNamespace,
    add_target: AddTarget,
    caplog: pytest.LogCaptureFixture,
) -> None:
    namespace = add_target(bus)
    before = _count("reading")
    breaks(stage)
    tested = run.run(target_of(namespace))
    assert "its log has the traceback" in tested.problem
    assert _count("reading") == before + 1
    assert SECRET not in caplog.text + tested.problem


def test_a_collector_that_a_bug_stops_is_counted_in_a_connection_test_too(
    breaks: Callable[[tuple[Any, str]], None], bus: SimulatedNamespace, add_target: AddTarget
) -> None:
    namespace = add_target(bus)
    before = _count("reading")
    breaks((atom, "parse_topics"))
    assert not run.run(target_of(namespace)).ok
    assert _count("reading") > before


def test_a_bug_of_a_read_in_the_background_is_logged_and_counted(
    breaks: Callable[[tuple[Any, str]], None],
    bus: SimulatedNamespace,
    add_target: AddTarget,
    caplog: pytest.LogCaptureFixture,
) -> None:
    target = target_of(add_target(bus))
    before = _count("background")
    breaks((reading, "budget_for"))
    kept: list[Any] = []
    reading.read_on(target, reading.failed(Reason.TIMEOUT, ""), 5, kept.append)
    wait_for(lambda: _count("background") == before + 1, "the bug is counted")
    assert kept == [None]
    assert "ZeroDivisionError" in caplog.text
    assert SECRET not in caplog.text


def test_what_no_task_of_the_io_loop_waits_for_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = IoLoop()

    async def forgotten() -> None:
        async def bug() -> None:
            raise ZeroDivisionError(SECRET)

        task = asyncio.create_task(bug())
        await asyncio.wait([task])

    loop.run(forgotten(), timeout=10)
    gc.collect()
    wait_for(lambda: "ZeroDivisionError" in caplog.text, "the loop logs it")
    loop.stop()
    assert "in bug" in caplog.text
    assert SECRET not in caplog.text


def test_frames_show_causes_and_members_of_groups_and_no_text() -> None:
    def first() -> None:
        raise KeyError(SECRET)

    def second() -> None:
        try:
            first()
        except KeyError as error:
            raise ValueError(SECRET) from error

    try:
        try:
            second()
        except ValueError as error:
            raise ExceptionGroup(SECRET, [error]) from None
    except ExceptionGroup as group:
        shown = tracebacks.frames(group)
    for each in ("ExceptionGroup", "ValueError", "KeyError", "in first", "in second"):
        assert each in shown
    assert SECRET not in shown


def test_every_place_is_counted_from_0_on_so_that_the_first_bug_is_an_increase() -> None:
    for where in ("reading", "rendering", "background", "records", "page"):
        assert telemetry.REGISTRY.get_sample_value("hub_internal_errors_total", {"where": where}) is not None
