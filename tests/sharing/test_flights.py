"""What scrapes of one process do while another process reads."""

import pytest

from exporters.catalog import catalog
from exporters.servicebus.entities import Snapshot
from exporters.servicebus.errors import Reason
from exporters.sharing import leases
from exporters.sharing.flights import Flights
from exporters.sharing.results import key_of
from exporters.simulator import SimulatedNamespace
from tests.web.conftest import AddTarget, add_target, hub, team

__all__ = ["add_target", "hub", "team"]


def test_who_waits_in_vain_for_the_read_of_another_process_says_for_how_long(
    bus: SimulatedNamespace, add_target: AddTarget
) -> None:
    add_target(bus)
    target = catalog.current().targets[bus.name]
    lease = leases.take(key_of(target))
    assert lease is not None

    try:
        answer = Flights().answer(target, 0.3, _never, _never)
    finally:
        lease.release()
    [failure] = answer.snapshot.collectors.values()
    assert failure is not None
    assert failure.reason is Reason.TIMEOUT
    assert 0.3 <= answer.snapshot.duration_seconds < 5


def test_who_waits_for_another_process_looks_more_and_more_rarely(
    bus: SimulatedNamespace, add_target: AddTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_target(bus)
    target = catalog.current().targets[bus.name]
    lease = leases.take(key_of(target))
    assert lease is not None
    is_taken, looks = leases.is_taken, []

    def counted(key: str) -> bool:
        looks.append(key)
        return is_taken(key)

    monkeypatch.setattr(leases, "is_taken", counted)
    try:
        Flights().answer(target, 1.0, _never, _never)
    finally:
        lease.release()
    assert 3 < len(looks) < 35  # every 20 ms it would be 50


def _never(*args: object) -> Snapshot:
    raise AssertionError("the lease is another's")
