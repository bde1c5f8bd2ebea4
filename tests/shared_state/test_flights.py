"""How scrapes of one process behave while another of them, or another process, reads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from exporters.configuration.reloader import reloader
from exporters.scraping.reading import failed
from exporters.scraping.results import key_of
from exporters.scraping.single_flight import Answer, Flights, Origin
from exporters.servicebus.entities import Snapshot
from exporters.servicebus.errors import Reason
from exporters.shared_state import shared
from exporters.shared_state.layered import HeldLease
from simulator import SimulatedNamespace
from tests.web.conftest import AddTarget, add_target, hub, team

__all__ = ["add_target", "hub", "team"]


def test_who_waits_in_vain_for_the_read_of_another_process_says_for_how_long(
    bus: SimulatedNamespace, add_target: AddTarget
) -> None:
    add_target(bus)
    target = reloader.current().targets[bus.name]
    lease = shared().lease(key_of(target), 3, 60)
    assert isinstance(lease, HeldLease)

    try:
        answer = Flights().answer(target, 0.3, _never, _never)
    finally:
        lease.release()
    [failure] = answer.snapshot.collectors.values()
    assert failure is not None
    assert failure.reason is Reason.TIMEOUT
    assert 0.3 <= answer.snapshot.duration_seconds < 5


def test_a_scrape_that_comes_after_the_read_reads_by_itself_though_the_result_is_still_being_stored(
    bus: SimulatedNamespace, add_target: AddTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_target(bus)
    target = reloader.current().targets[bus.name]
    flights, read, stores = Flights(), threading.Event(), threading.Event()

    def slow_put(*args: object) -> None:
        read.set()
        assert stores.wait(20)

    monkeypatch.setattr(flights._kept, "put", slow_put)

    def scrape() -> Answer:
        return flights.answer(target, 20, lambda *_: failed(Reason.CONNECTION, ""), _never)

    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(flights, "_is_to_be_kept", lambda *_: not read.is_set())
        first = pool.submit(scrape)
        assert read.wait(20)
        second = pool.submit(scrape)
        with pytest.raises(TimeoutError):
            second.result(0.2)
        stores.set()
        assert [first.result(20).origin, second.result(20).origin] == [Origin.READ, Origin.READ]


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.OVERLOADED])
@pytest.mark.parametrize(("seconds", "is_shared"), [(20.0, False), (2.0, True)])
def test_a_scrape_that_has_more_time_is_not_content_with_a_failure_for_lack_of_time(
    bus: SimulatedNamespace, add_target: AddTarget, reason: Reason, seconds: float, is_shared: bool
) -> None:
    add_target(bus)
    target = reloader.current().targets[bus.name]
    flights, reads, fails = Flights(), threading.Event(), threading.Event()

    def failing(*_: object) -> Snapshot:
        reads.set()
        assert fails.wait(20)
        return failed(reason, "")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(flights.answer, target, 2.0, failing, _never)
        assert reads.wait(20)
        second = pool.submit(flights.answer, target, seconds, lambda *_: failed(Reason.DNS, ""), _never)
        with pytest.raises(TimeoutError):
            second.result(0.2)
        fails.set()
        assert first.result(20).origin is Origin.READ
        expected = (Origin.SHARED, reason) if is_shared else (Origin.READ, Reason.DNS)
        [failure] = second.result(20).snapshot.collectors.values()
        assert failure is not None
        assert (second.result().origin, failure.reason) == expected


def _never(*args: object) -> Snapshot:
    raise AssertionError("the lease is another's")
