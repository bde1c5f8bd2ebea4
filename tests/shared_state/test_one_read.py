"""Overlapping scrapes share one read, across worker processes and hubs, and survive failures of the sharing."""

import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from simulator import SimulatedNamespace
from tests.support.hubs import Hub
from tests.support.servers import Redis, wait_for

from .conftest import StartHub

pytestmark = pytest.mark.e2e

SCRAPES = 50


def value(body: str, name: str) -> float:
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            if sample.name == name:
                return sample.value
    raise AssertionError(f"no {name} in {body[:2000]}")


def scrape(hub: Hub, token: str) -> str:
    status, body = hub.get("/metrics/payments", token, timeout=30)
    assert status == 200, body
    return body


def reads(bus: SimulatedNamespace) -> int:
    return bus.requests.paths().count("/$namespaceinfo")


def scrape_together(pool: ThreadPoolExecutor, *hubs: tuple[Hub, str]) -> list[Future[str]]:
    """Start 50 concurrent scrapes, distributed over the hubs in turn."""
    start = threading.Barrier(SCRAPES)

    def one(number: int) -> str:
        hub, token = hubs[number % len(hubs)]
        start.wait(30)
        return scrape(hub, token)

    return [pool.submit(one, number) for number in range(SCRAPES)]


def test_fifty_scrapes_at_once_over_two_workers_make_one_read(
    start_hub: StartHub, bus: SimulatedNamespace
) -> None:
    hub = start_hub()
    bus.latency = 1.5  # long enough for all of them to arrive before the read ends
    with ThreadPoolExecutor(SCRAPES) as pool:
        bodies = [each.result() for each in scrape_together(pool, hub)]
    assert {value(body, "servicebus_up") for body in bodies} == {1}
    assert reads(bus) == 1
    ages = sorted(value(body, "servicebus_scrape_age_seconds") for body in bodies)
    assert ages[0] == 0, "the one that has read"
    assert ages[1] > 0, "those that share its read say how old it is"
    shared = hub[0].get("/metrics", hub[1])[1]
    assert 'hub_scrapes_shared_total{origin="shared"} 49.0' in shared


def test_fifty_scrapes_at_once_over_two_hubs_with_redis_make_one_read(
    start_hub: StartHub, bus: SimulatedNamespace, redis: Redis
) -> None:
    hubs = [start_hub(HUB_REDIS_URL=redis.url) for _ in range(2)]
    bus.latency = 1.5
    with ThreadPoolExecutor(SCRAPES) as pool:
        bodies = [each.result() for each in scrape_together(pool, *hubs)]
    assert {value(body, "servicebus_up") for body in bodies} == {1}
    assert reads(bus) == 1


def test_redis_that_stops_in_the_middle_costs_sharing_and_no_scrape(
    start_hub: StartHub, bus: SimulatedNamespace, redis: Redis
) -> None:
    hubs = [start_hub(HUB_REDIS_URL=redis.url) for _ in range(2)]
    bus.latency = 1.0
    with ThreadPoolExecutor(SCRAPES) as pool:
        begun = scrape_together(pool, *hubs)
        wait_for(lambda: bus.requests.in_flight > 0, "the read has begun")
        redis.kill()
        bodies = [each.result() for each in begun]
    assert {value(body, "servicebus_up") for body in bodies} == {1}
    # Each hub falls back to sharing between its workers: the read that had begun, and one more per hub.
    assert 1 <= reads(bus) <= 3
    bus.latency = 0
    assert {value(scrape(*hub), "servicebus_up") for hub in hubs * 3} == {1}
    log = hubs[0][0].log.read_text() + hubs[1][0].log.read_text()
    assert "can't share reads through redis for now" in log
    assert redis.url not in log


def test_redis_that_hangs_holds_no_scrape_up_for_long(
    start_hub: StartHub, bus: SimulatedNamespace, redis: Redis
) -> None:
    hub = start_hub(HUB_REDIS_URL=redis.url)
    assert value(scrape(*hub), "servicebus_up") == 1
    redis.pause()
    try:
        bodies = [scrape(*hub) for _ in range(6)]
    finally:
        redis.resume()
    assert {value(body, "servicebus_up") for body in bodies} == {1}


@pytest.mark.parametrize("with_redis", [False, True], ids=["files", "redis"])
def test_a_worker_that_is_killed_in_the_middle_of_a_read_holds_nobody_up(
    start_hub: StartHub, bus: SimulatedNamespace, redis: Redis, with_redis: bool
) -> None:
    hub, token = start_hub(**({"HUB_REDIS_URL": redis.url} if with_redis else {}))
    bus.latency = 60
    thread = threading.Thread(target=hub.get, args=("/metrics/payments", token, 60.0), daemon=True)
    thread.start()
    wait_for(lambda: bus.requests.in_flight > 0, "the read has begun")
    reading = [worker for worker in hub.workers() if _talks_to(worker, bus.port)]
    assert len(reading) == 1
    bus.latency = 0
    reading[0].send_signal(signal.SIGKILL)
    thread.join(30)
    assert value(scrape(hub, token), "servicebus_up") == 1


def _talks_to(worker: psutil.Process, port: int) -> bool:
    return any(each.raddr and each.raddr.port == port for each in worker.net_connections("tcp"))


def test_a_later_scrape_within_cache_seconds_is_answered_from_the_read_before_and_tells_its_age(
    start_hub: StartHub, bus: SimulatedNamespace
) -> None:
    hub, token = start_hub(fields={"cache_seconds": 60})
    assert value(scrape(hub, token), "servicebus_scrape_age_seconds") == 0
    time.sleep(0.2)
    # Whichever worker answers.
    bodies = [scrape(hub, token) for _ in range(12)]
    ages = [value(body, "servicebus_scrape_age_seconds") for body in bodies]
    assert min(ages) >= 0.2
    assert ages == sorted(ages)
    assert reads(bus) == 1
    assert 'servicebus_queue_active_messages{name="orders"} 3.0' in bodies[-1]


def test_what_is_shared_holds_no_secret(start_hub: StartHub, bus: SimulatedNamespace) -> None:
    hub, token = start_hub(fields={"cache_seconds": 60})
    scrape(hub, token)
    files = [path for path in (hub.directory / "data" / "shared").glob("*/*") if path.is_file()]
    assert any(path.name.endswith(".result") for path in files)
    from exporters.scraping.results import decode

    for path in files:
        held = path.read_bytes()
        stored = decode(held[72:], 0.0)
        text = held.decode("latin-1") + repr(stored)
        assert bus.key not in text
        assert token not in text
        assert "SharedAccess" not in text
        assert path.stat().st_mode & 0o077 == 0
