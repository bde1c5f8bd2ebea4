"""The credit rule, on a clock that the test controls."""

import pytest

from simulator import SimulatedNamespace
from simulator.credits import Credits

from .asking import get


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def test_a_hundred_management_requests_a_second_are_all_there_is(clock: _Clock) -> None:
    credits = Credits(clock)
    credits.enforce()
    assert [credits.take() for _ in range(101)] == [True] * 100 + [False]
    assert credits.management_throttled == 1
    clock.now += 1
    assert credits.take()


def test_credits_that_are_left_over_are_lost(clock: _Clock) -> None:
    credits = Credits(clock)
    credits.enforce()
    clock.now += 10
    assert sum(credits.take() for _ in range(500)) == 100


def test_senders_are_throttled_when_management_requests_took_their_credits(clock: _Clock) -> None:
    credits = Credits(clock)
    credits.enforce(sender_rate=600)
    for _ in range(100):
        credits.take()
    clock.now += 1
    assert credits.sender_throttled == 600
    assert credits.sender_sent == 0
    clock.now += 1
    assert (credits.sender_throttled, credits.sender_sent) == (600, 600)


@pytest.mark.parametrize(("a_second", "harmed"), [(30, False), (40, False), (60, True), (100, True)])
def test_senders_of_600_messages_a_second_leave_room_for_40_requests(
    clock: _Clock, a_second: int, harmed: bool
) -> None:
    credits = Credits(clock)
    credits.enforce(sender_rate=600)
    for _ in range(10 * a_second):
        credits.take()
        clock.now += 1 / a_second
    assert (credits.sender_throttled > 0) is harmed


def test_without_the_rule_nothing_is_throttled(clock: _Clock) -> None:
    credits = Credits(clock)
    assert all(credits.take() for _ in range(500))
    credits.enforce(sender_rate=600)
    credits.take()
    credits.lift()
    assert all(credits.take() for _ in range(500))
    assert credits.management_throttled == 0


def test_a_request_without_credits_is_answered_429(namespace: SimulatedNamespace) -> None:
    namespace.credits.enforce(per_second=10)
    statuses = {get(namespace, "/$namespaceinfo?api-version=2021-05").status for _ in range(20)}
    assert statuses == {200, 429}
    assert namespace.credits.management_throttled == namespace.requests.by_status[429]
    throttled = next(request for request in namespace.requests if request.status == 429)
    assert throttled.path == "/$namespaceinfo"
