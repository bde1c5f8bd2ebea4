"""Jobs that fail in unforeseen ways, and more jobs than can be held."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

import pytest

from exporters.servicebus.entities import Failure
from exporters.servicebus.errors import Reason, ServiceBusError
from exporters.servicebus.jobs import Job, Work

SECRET = "SharedAccessKey=very-secret"


async def run(work: Work, seconds: float = 5) -> dict[str, Failure | None]:
    await work.run(asyncio.get_running_loop().time() + seconds)
    return work.failures


def new_work(ended: Callable[[str], None] = lambda collector: None, concurrency: int = 3) -> Work:
    return Work(
        optional="namespace", ended=ended, allowed=lambda waiting: concurrency, leave=lambda worker: False
    )


def failing(error: Exception) -> Job:
    async def job() -> None:
        await asyncio.sleep(0)
        raise error

    return job


@pytest.mark.parametrize(
    "error",
    [ValueError(SECRET), KeyError(SECRET), RecursionError(), ExceptionGroup(SECRET, [OSError(SECRET)])],
)
async def test_a_bug_fails_its_collector_and_no_other(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    work, done = new_work(), []

    async def good() -> None:
        await asyncio.sleep(0.01)
        done.append(1)

    work.add("queues", [failing(error)])
    work.add("topics", [good] * 20)
    with caplog.at_level(logging.ERROR):
        failures = await run(work)
    assert len(done) == 20
    assert failures["topics"] is None
    failure = failures["queues"]
    assert failure
    assert failure.reason is Reason.INTERNAL
    (record,) = caplog.records
    assert "Reading queues failed" in record.getMessage()
    assert "test_jobs.py" in record.getMessage()
    assert type(error).__name__ in record.getMessage()
    assert SECRET not in caplog.text + failure.message


async def test_a_bug_in_making_a_job_fails_its_collector(caplog: pytest.LogCaptureFixture) -> None:
    def jobs() -> Iterator[Job]:
        yield nothing
        raise IndexError(SECRET)

    work = new_work()
    work.add("queues", jobs())
    work.add("topics", [nothing])
    failures = await run(work)
    assert failures["topics"] is None
    assert failures["queues"]
    assert failures["queues"].reason is Reason.INTERNAL
    assert SECRET not in caplog.text


async def test_jobs_are_made_when_a_worker_is_free_for_them() -> None:
    made = running = most = 0

    async def job() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    def endless() -> Iterator[Callable[[], Awaitable[None]]]:
        nonlocal made
        while True:
            made += 1
            yield job

    work = new_work(concurrency=4)
    work.add("subscriptions", endless())
    late = 0.0
    beats = asyncio.create_task(_longest_pause())
    failures = await run(work, seconds=0.5)
    late = await beats
    assert failures["subscriptions"]
    assert failures["subscriptions"].reason is Reason.TIMEOUT
    assert most == 4
    assert made < 400
    assert late < 0.25


async def test_jobs_that_are_added_first_are_done_before_those_that_wait() -> None:
    order: list[str] = []
    work = new_work(concurrency=1)

    async def page() -> None:
        order.append("page")
        if order.count("page") < 3:
            work.add_next("queues", page)

    async def other() -> None:
        order.append("other")

    work.add("queues", [page])
    work.add("subscriptions", [other] * 3)
    await run(work)
    assert order == ["page"] * 3 + ["other"] * 3


async def test_what_has_no_jobs_left_has_not_failed_at_the_deadline() -> None:
    async def hang() -> None:
        await asyncio.sleep(60)

    work = new_work()
    work.add("topics", [hang, hang, hang])
    work.add("queues", iter(()))
    failures = await run(work, seconds=0.1)
    assert failures["queues"] is None
    assert failures["topics"]
    assert failures["topics"].reason is Reason.TIMEOUT


async def test_after_a_refused_key_no_job_begins() -> None:
    done = []

    async def job() -> None:
        done.append(1)

    work = new_work(concurrency=1)
    work.add("queues", [failing(ServiceBusError(Reason.UNAUTHORIZED, "no"))])
    work.add("subscriptions", (job for _ in range(10**9)))
    failures = await run(work)
    assert done == []
    assert {failure and failure.reason for failure in failures.values()} == {Reason.UNAUTHORIZED}


async def test_the_end_of_a_collector_is_told_when_nothing_of_it_is_open() -> None:
    told: list[bool] = []
    work = new_work(lambda collector: told.append(work.is_open(collector)))
    work.add("topics", [nothing, nothing])
    await run(work)
    assert told[-1] is False


async def nothing() -> None:
    await asyncio.sleep(0)


async def _longest_pause() -> float:
    """Return the longest time between two turns of the loop."""
    loop, longest = asyncio.get_running_loop(), 0.0
    for _ in range(40):
        before = loop.time()
        await asyncio.sleep(0.01)
        longest = max(longest, loop.time() - before - 0.01)
    return longest
