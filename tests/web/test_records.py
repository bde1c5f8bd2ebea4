"""Scrape records are written in batches and bounded, and never make a scrape fail."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError
from django.test import Client
from django.utils import timezone

from exporters.models import Namespace, NamespaceStatus, ScrapeRecord, Team
from exporters.scraping import scrape_records
from simulator import SimulatedNamespace

from .conftest import AddTarget

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _record(
    namespace_id: int | None = None, seconds: float = 0, outcome: str = "success", **fields: Any
) -> ScrapeRecord:
    values: dict[str, Any] = {
        "reason": "" if outcome == "success" else "timeout",
        "message": "",
        "duration_seconds": 0.5,
        "allowed_seconds": 9.5,
        "age_seconds": 0.0,
        "requests": 3,
        "throttled_requests": 0,
        "series": 40,
    }
    number = Namespace.objects.get().pk if namespace_id is None else namespace_id
    return ScrapeRecord(
        namespace_id=number, at=NOW + timedelta(seconds=seconds), outcome=outcome, **values | fields
    )


@pytest.fixture
def stored(add_target: AddTarget, bus: SimulatedNamespace) -> Namespace:
    return add_target(bus)


def test_a_scrape_leaves_a_record_and_a_status(stored: Namespace, scraper: Client) -> None:
    answer = scraper.get("/metrics/payments", headers={"Accept": "application/openmetrics-text"})
    scrape_records.recorder.flush()
    record = ScrapeRecord.objects.get()
    lines = answer.content.decode().splitlines()
    assert record.series == sum(not line.startswith("#") for line in lines)
    assert (record.outcome, record.reason, record.requests) == ("success", "", 4)
    assert record.allowed_seconds == 9.5
    assert stored.status.recent == [["s", round(record.duration_seconds * 1000)]]


def test_a_failed_scrape_leaves_its_reason_and_its_message(
    stored: Namespace, scraper: Client, bus: SimulatedNamespace
) -> None:
    bus.faults.set("server_error")
    scraper.get("/metrics/payments")
    scrape_records.recorder.flush()
    status = NamespaceStatus.objects.get()
    assert (status.outcome, status.reason) == ("failure", "server_error")
    assert status.message


def test_the_newest_records_stay_and_failures_stay_longer(stored: Namespace) -> None:
    failures = [_record(seconds=number, outcome="failure") for number in range(60)]
    successes = [_record(seconds=100 + number) for number in range(scrape_records.KEPT + 30)]
    scrape_records.write([*failures, *successes])
    scrape_records.prune()
    kept = ScrapeRecord.objects.all()
    assert kept.filter(outcome="success").count() == scrape_records.KEPT
    assert kept.filter(outcome="failure").count() == scrape_records.KEPT_FAILURES
    assert kept.filter(outcome="failure").earliest("at").at == NOW + timedelta(seconds=20)


def test_the_outline_holds_the_last_scrapes(stored: Namespace) -> None:
    scrape_records.write([_record(seconds=number) for number in range(scrape_records.RECENT + 5)])
    scrape_records.write([_record(seconds=99, outcome="partial", duration_seconds=2)])
    status = NamespaceStatus.objects.get()
    assert len(status.recent) == scrape_records.RECENT
    assert status.recent[-1] == ["p", 2000]
    assert status.since == NOW + timedelta(seconds=99)


def test_an_older_record_of_another_replica_does_not_turn_the_status_back(stored: Namespace) -> None:
    scrape_records.write([_record(seconds=10, outcome="failure")])
    scrape_records.write([_record(seconds=5)])
    assert NamespaceStatus.objects.get().outcome == "failure"


def test_a_record_dated_before_the_clock_was_set_back_does_not_hold_newer_ones_up(stored: Namespace) -> None:
    ahead = (timezone.now() - NOW).total_seconds() + 3600
    scrape_records.write(
        [_record(seconds=ahead + number, outcome="failure") for number in range(scrape_records.KEPT)]
    )
    scrape_records.write([_record(seconds=ahead - 3600)])
    assert NamespaceStatus.objects.get().outcome == "success"
    scrape_records.prune()
    assert ScrapeRecord.objects.filter(outcome="success").count() == 1, "the newest, whatever its date"


def test_a_namespace_that_was_deleted_meanwhile_is_left_out(stored: Namespace) -> None:
    scrape_records.write([_record(), _record(stored.pk + 1)])
    assert ScrapeRecord.objects.count() == 1


def test_what_another_team_gave_the_name_of_a_deleted_namespace_gets_none_of_its_records(
    stored: Namespace, scraper: Client, bus: SimulatedNamespace
) -> None:
    bus.faults.set("server_error")
    scraper.get("/metrics/payments")
    stored.delete()
    others = Namespace.objects.create(name="payments", team=Team.objects.create(name="others"))
    scrape_records.recorder.flush()
    assert not ScrapeRecord.objects.exists()
    assert not NamespaceStatus.objects.filter(namespace=others).exists()


def test_a_namespace_that_was_renamed_meanwhile_keeps_its_records(stored: Namespace, scraper: Client) -> None:
    scraper.get("/metrics/payments")
    stored.name = "renamed"
    stored.save()
    scrape_records.recorder.flush()
    assert ScrapeRecord.objects.get().namespace == stored


def test_records_wait_while_the_database_is_away(stored: Namespace, monkeypatch: Any) -> None:
    def away(batch: list[ScrapeRecord]) -> None:
        raise OperationalError("the database is away")

    scrape_records.recorder.add(_record())
    with monkeypatch.context() as patched:
        patched.setattr(scrape_records, "write", away)
        with pytest.raises(DatabaseError):
            scrape_records.recorder.flush()
    scrape_records.recorder.flush()
    assert ScrapeRecord.objects.count() == 1


def test_a_write_that_is_rolled_back_takes_no_number_from_another_processs_record(
    stored: Namespace, monkeypatch: Any
) -> None:
    def away(batch: list[ScrapeRecord]) -> None:
        raise OperationalError("the database is away")

    scrape_records.recorder.add(_record())
    with monkeypatch.context() as patched:
        patched.setattr(scrape_records, "_update_statuses", away)
        with pytest.raises(DatabaseError):
            scrape_records.recorder.flush()
    _record(seconds=1).save()  # by another process
    scrape_records.recorder.flush()
    assert ScrapeRecord.objects.count() == 2


def test_the_newest_records_wait_when_not_all_can(stored: Namespace, monkeypatch: Any) -> None:
    monkeypatch.setattr(scrape_records, "QUEUE_LENGTH", 3)
    recorder = scrape_records.Recorder(in_background=False)

    def away_while_another_came(batch: list[ScrapeRecord]) -> None:
        recorder.add(_record(seconds=100))
        raise OperationalError("the database is away")

    for number in range(3):
        recorder.add(_record(seconds=number))
    with monkeypatch.context() as patched:
        patched.setattr(scrape_records, "write", away_while_another_came)
        with pytest.raises(DatabaseError):
            recorder.flush()
    recorder.flush()
    kept = [(record.at - NOW).total_seconds() for record in ScrapeRecord.objects.order_by("at")]
    assert kept == [1, 2, 100]


def test_a_process_that_ends_says_when_its_last_records_are_lost(
    stored: Namespace, monkeypatch: Any, caplog: Any
) -> None:
    def away(batch: list[ScrapeRecord]) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(scrape_records, "write", away)
    monkeypatch.setattr(scrape_records.connection, "close", lambda: None)  # it is the test's own connection
    scrape_records.recorder.add(_record())
    with caplog.at_level(logging.ERROR):
        scrape_records.recorder.close()
    assert "Can't write the last scrape records: the database is away" in caplog.text


def test_the_queue_is_bounded_and_the_oldest_is_forgotten(stored: Namespace, monkeypatch: Any) -> None:
    monkeypatch.setattr(scrape_records, "QUEUE_LENGTH", 3)
    recorder = scrape_records.Recorder(in_background=False)
    for number in range(5):
        recorder.add(_record(seconds=number))
    recorder.flush()
    assert ScrapeRecord.objects.count() == 3
    assert ScrapeRecord.objects.earliest("at").at == NOW + timedelta(seconds=2)


@pytest.mark.parametrize(("cpu_seconds", "pause"), [(0.0, 2.0), (0.1, 2.0), (0.5, 10.0), (60.0, 30.0)])
def test_records_that_cost_much_cpu_are_written_less_often(cpu_seconds: float, pause: float) -> None:
    assert scrape_records.Recorder().pause_after(cpu_seconds) == pause


@pytest.mark.parametrize(
    ("exposition", "count"),
    [
        (b"", 0),
        (b"# HELP up\n# TYPE up gauge\nup 1\n", 1),
        (b"up 1\n# EOF\n", 1),
        (b"a 1\na 2\n# HELP b\nb 1\n", 3),
    ],
)
def test_series_are_the_lines_that_are_no_comments(exposition: bytes, count: int) -> None:
    assert scrape_records.count_series(exposition) == count
