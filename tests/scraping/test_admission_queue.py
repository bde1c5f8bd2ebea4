"""Which reads the queue lets begin, on a virtual clock."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.scraping.admission_queue import AdmissionQueue, Entrant, Verdict, cost_of
from exporters.servicebus.entities import Queue, Snapshot

from .virtual_process import Process, Read

CAPACITY = 100  # reads of 10 ms per second, on one core


def in_time(reads: list[Read]) -> int:
    return sum(read.in_time for read in reads)


def test_a_read_begins_at_once_in_a_process_that_has_time() -> None:
    process = Process()
    reads = process.run(20, CAPACITY / 2)
    process.run(5)
    assert all(read.begun_at == read.entrant.came_at for read in reads)
    assert in_time(reads) == len(reads)


@pytest.mark.parametrize("cores", [0.4, 2.0])
@pytest.mark.parametrize("latency", [0.02, 0.5])
def test_twice_the_capacity_leaves_nearly_all_of_it(cores: float, latency: float) -> None:
    process = Process(lambda now: cores)
    capacity = CAPACITY * cores
    reads = process.run(30, 2 * capacity, latency=latency)
    process.run(10)
    assert in_time(reads) >= 0.8 * 30 * capacity
    begun = [read for read in reads if read.begun_at >= 0]
    assert in_time(begun) >= 0.97 * len(begun), "what begins is nearly always finished in time"


def test_refusals_come_at_once_while_the_overload_lasts() -> None:
    process = Process()
    process.run(20, 2 * CAPACITY)
    refused = [read for read in process.run(10, 2 * CAPACITY) if read.refused_at >= 0]
    assert len(refused) > CAPACITY * 10 / 2
    at_once = [read for read in refused if read.refused_at == read.entrant.came_at]
    assert len(at_once) > 0.9 * len(refused)


@pytest.mark.parametrize("cores", [1.0, 0.3])
def test_a_process_recovers_soon_after_an_overload(cores: float) -> None:
    process = Process(lambda now: cores)
    process.run(30, 4 * CAPACITY * cores)
    process.run(10, CAPACITY * cores / 2)
    reads = process.run(20, CAPACITY * cores / 2)
    process.run(10)
    assert in_time(reads) == len(reads)
    assert max(read.ended_at - read.entrant.came_at for read in reads) < 1


def test_a_process_that_stood_still_recovers() -> None:
    process = Process(lambda now: 0.0 if 10 < now < 15 else 1.0)
    process.run(25, CAPACITY / 2)
    reads = process.run(20, CAPACITY / 2)
    process.run(5)
    assert in_time(reads) == len(reads)


def test_a_process_that_loses_most_of_its_cpu_for_a_minute_answers_what_it_can() -> None:
    process = Process(lambda now: 0.25 if 10 < now < 70 else 1.0)
    process.run(20, CAPACITY / 2)
    reads = process.run(50, CAPACITY / 2)
    assert in_time(reads) >= 0.8 * 50 * CAPACITY / 4
    process.run(10, CAPACITY / 2)
    later = process.run(20, CAPACITY / 2)
    process.run(5)
    assert in_time(later) == len(later)


def test_no_namespace_is_refused_again_and_again() -> None:
    process = Process()
    # Each of 1,000 namespaces every 5 s, always at the same offset, as Prometheus does.
    reads = process.run(100, 2 * CAPACITY, namespaces=1000)
    process.run(10)
    answered: dict[str, int] = defaultdict(int)
    for read in reads:
        answered[read.entrant.name] += read.in_time
    assert len(answered) == 1000
    assert min(answered.values()) >= 3, "of 20 scrapes"


def test_reads_that_hang_hold_nobody_up() -> None:
    process = Process()
    nothing = Snapshot()
    for number in range(200):
        process.come(f"hanging-{number}", latency=float("inf"))
        process.queue.learn(f"hanging-{number}", nothing)
    process.run(9.5)
    hanging = [process.come(f"hanging-{number}", latency=float("inf")) for number in range(200)]
    reads = process.run(9, 10)
    process.run(3)
    assert all(read.refused_at < 0 for read in hanging)
    assert in_time(reads) == len(reads)
    assert max(read.ended_at - read.entrant.came_at for read in reads) < 1


def test_a_loop_that_others_make_late_still_gets_reads() -> None:
    queue = AdmissionQueue(0.0)
    begun = 0
    now = 0.0
    for number in range(2000):
        now += 0.05
        begun += queue.arrive(Entrant(f"namespace-{number}", now, now + 9.5), now, 0.2) is Verdict.BEGINS
        begun += len(queue.tick(now, 0.2)[0])
    assert begun > 5 * now, "reads a second"


def test_the_earliest_deadline_is_first() -> None:
    queue = AdmissionQueue(0.0)
    for number in range(100):  # use up everything that may begin at once
        queue.arrive(Entrant(f"first-{number}", 0.0, 9.0), 0.0, 1.0)
    late, early = Entrant("late", 0.0, 60.0), Entrant("early", 0.0, 8.0)
    assert queue.arrive(late, 0.0, 1.0) is Verdict.WAITS
    assert queue.arrive(early, 0.0, 1.0) is Verdict.WAITS
    order = []
    now = 0.0
    while queue.waiting and now < 60:
        now += 0.02
        order += queue.tick(now, 0.0)[0]
    assert order[0] is early
    assert order[-1] is late


def test_a_connection_test_has_its_turn_in_an_overload_and_takes_its_share_at_most() -> None:
    process = Process()
    process.run(30, 2 * CAPACITY)
    connection_tests = []
    others: list[Read] = []
    for _ in range(20):
        connection_tests.append(process.come(""))
        others += process.run(1, 2 * CAPACITY)
    process.run(10)
    assert in_time(connection_tests) == len(connection_tests)
    assert max(read.begun_at - read.entrant.came_at for read in connection_tests) < 1
    flood = []
    for _ in range(10):
        flood += [process.come("") for _ in range(200)]
        others += process.run(1, 2 * CAPACITY)
    process.run(10)
    assert any(read.refused_at >= 0 for read in flood)
    assert in_time(flood) < 0.5 * 10 * CAPACITY


def test_a_read_that_leaves_the_line_is_forgotten() -> None:
    queue = AdmissionQueue(0.0)
    entrants = [Entrant(f"namespace-{number}", 0.0, 9.5) for number in range(60)]
    waiting = [each for each in entrants if queue.arrive(each, 0.0, 0.0) is Verdict.WAITS]
    assert queue.waiting == len(waiting) > 0
    for entrant in waiting:
        queue.leave(entrant)
        queue.leave(entrant)
    assert queue.waiting == 0
    assert queue.tick(100.0, 0.0) == ([], [])


def test_a_large_namespace_costs_more_than_a_small_one() -> None:
    large = Snapshot(queues=tuple(Queue(f"queue-{number}") for number in range(1000)), requests=12)
    assert cost_of(large) > 10 * cost_of(Snapshot(requests=3))


LOADS = st.lists(
    st.tuples(
        st.floats(0.5, 8),  # seconds
        st.floats(0, 400),  # reads per second
        st.floats(0.001, 0.2),  # CPU seconds of a read
        st.floats(0.0, 3.0),  # latency
        st.floats(0.3, 30),  # seconds allowed
        st.floats(0.0, 2.0),  # cores
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=30, deadline=None)
@given(LOADS)
def test_every_read_is_decided_about_and_none_begins_too_late(
    loads: list[tuple[float, float, float, float, float, float]],
) -> None:
    cores = [1.0]
    process = Process(lambda now: cores[0])
    for seconds, rate, cost, latency, allowed, power in loads:
        cores[0] = power
        process.run(seconds, min(rate, 300 / seconds), cost=cost, latency=latency, allowed=allowed)
    cores[0] = 1.0
    process.run(70)
    assert process.queue.waiting == 0
    for read in process.reads:
        assert (read.begun_at >= 0) is not (read.refused_at >= 0)
        if read.begun_at >= 0:
            share = (read.begun_at - read.entrant.came_at) / (read.entrant.deadline - read.entrant.came_at)
            assert share <= 0.51, "little of its time is left"
    # Whatever happened before: after a quiet time, a read begins at once.
    process.run(30)
    assert process.come("another").begun_at == process.now
