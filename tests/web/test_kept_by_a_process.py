"""The data that a process keeps about namespaces is bounded, even when namespaces are deleted."""

import pytest

from exporters.configuration.derivation import target
from exporters.models import Namespace, Team
from exporters.scraping import reading, recording
from exporters.servicebus.errors import Reason


@pytest.fixture(autouse=True)
def _three_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_KEPT_NAMESPACES", 3)
    monkeypatch.setattr(reading, "_known_pages", type(reading._known_pages)())
    monkeypatch.setattr(recording, "_said", {})


def test_numbers_of_pages_are_kept_of_the_namespaces_that_were_read_last() -> None:
    for number in (1, 2, 3, 1, 4):
        of = target(Namespace(name=f"namespace-{number}", team=Team(name="payments")), rules={})
        reading._pages_of(of)["queues"] = number
    assert reading._known_pages == {f"namespace-{number}": {"queues": number} for number in (3, 1, 4)}


def test_last_failures_are_kept_of_the_namespaces_that_failed_last(
    db: None, caplog: pytest.LogCaptureFixture
) -> None:
    failed = reading.failed(Reason.DNS, "The name does not resolve.")
    for number in range(5):
        recording.record_scrape(
            target(Namespace(name=f"namespace-{number}", team=Team(name="payments"))), failed, 0.1
        )
    assert list(recording._said) == ["namespace-2", "namespace-3", "namespace-4"]
    caplog.clear()
    recording.record_scrape(target(Namespace(name="namespace-4", team=Team(name="payments"))), failed, 0.1)
    assert "namespace-4 fail" not in caplog.text
