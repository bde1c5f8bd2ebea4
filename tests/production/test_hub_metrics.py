"""The hub's own metrics over four worker processes, some of which are killed."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from simulator import SimulatedNamespace, Simulator
from tests.support.hubs import Hub
from tests.support.servers import wait_for

pytestmark = pytest.mark.e2e

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Watched:
    def __init__(self, hub: Hub, token: str, folder: Path) -> None:
        self.hub, self.token, self.folder = hub, token, folder

    def scrape(self, number: int) -> int:
        return self.hub.get("/metrics/payments", self.token)[0]

    def samples(self) -> Samples:
        status, body = self.hub.get("/metrics", self.token)
        assert status == 200, body
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        return self.samples().get((name, frozenset(labels.items())), 0)

    def pids(self) -> set[int]:
        found = set()
        for worker in self.hub.workers():
            with suppress(psutil.NoSuchProcess):  # one that has just exited
                if worker.status() != psutil.STATUS_ZOMBIE:
                    found.add(worker.pid)
        return found

    def pids_with_files(self) -> set[int]:
        found = {path.stem.rpartition("_")[2] for path in self.folder.glob("*.db")} - {"ended"}
        return {int(pid) for pid in found} - {self.hub.pid}

    def kill(self, *pids: int) -> None:
        for pid in pids:
            psutil.Process(pid).send_signal(signal.SIGKILL)
        wait_for(
            lambda: len(self.pids()) == 4 and not self.pids() & set(pids), "four workers again", seconds=60
        )


@pytest.fixture
def watched(simulator: Simulator, bus: SimulatedNamespace, tmp_path: Path) -> Iterator[Watched]:
    folder = tmp_path / "metrics"
    folder.mkdir()
    hub = Hub(
        {
            "HUB_ALLOW_LOOPBACK": "1",
            "HUB_CA_FILE": str(simulator.ca_file),
            "HUB_WORKERS": "4",
            "HUB_THREADS": "40",
            "PROMETHEUS_MULTIPROC_DIR": str(folder),
        }
    )
    try:
        token = hub.prepare({bus.name: bus.connection_string})
        hub.start()
        yield Watched(hub, token, folder)
    finally:
        hub.close()


def test_counts_are_of_all_workers_and_survive_those_that_are_killed(
    watched: Watched, bus: SimulatedNamespace
) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(watched.scrape, range(60))) == {200}
    wait_for(lambda: watched.value("hub_scrapes_total", outcome="success") == 60, "60 scrapes counted")
    # gunicorn starts its workers one after another; the scrapes may have finished before the last one started.
    wait_for(lambda: watched.value("hub_workers") == 4, "all workers started")
    # Whichever worker answers, the numbers are the same.
    answers = [watched.samples() for _ in range(12)]
    assert {answer["hub_scrapes_total", frozenset({("outcome", "success")})] for answer in answers} == {60}
    assert {answer["hub_workers", frozenset()] for answer in answers} == {4}
    before = answers[-1]
    requests = before["hub_upstream_requests_total", frozenset({("code", "200")})]
    assert requests == bus.requests.by_status[200]
    assert before["hub_scrape_duration_seconds_count", frozenset()] == 60

    worked = sorted(watched.pids() & watched.pids_with_files())
    assert len(worked) > 1, "the scrapes went to several workers"
    watched.kill(worked[0])
    after = watched.samples()
    unchanged = {
        key: value
        for key, value in before.items()
        if key[0].startswith(("hub_scrapes_total", "hub_scrape_duration", "hub_upstream"))
    }
    assert {key: after[key] for key in unchanged} == unchanged
    assert after["process_cpu_seconds_total", frozenset()] >= before["process_cpu_seconds_total", frozenset()]
    assert worked[0] not in watched.pids_with_files()

    assert set(map(watched.scrape, range(8))) == {200}
    assert watched.value("hub_scrapes_total", outcome="success") == 68

    # Kill all of them during scrapes: none of those scrapes counts as in flight any longer.
    bus.faults.set("hang")
    waiting = [threading.Thread(target=watched.scrape, args=(0,)) for _ in range(4)]
    for thread in waiting:
        thread.start()
    wait_for(lambda: watched.value("hub_scrapes_in_flight") == 4, "four scrapes in flight")
    killed = watched.pids()
    watched.kill(*killed)
    for thread in waiting:
        thread.join(30)
    wait_for(lambda: not watched.pids_with_files() & killed, "the files of the killed are gone")
    last = watched.samples()
    assert last["hub_scrapes_total", frozenset({("outcome", "success")})] == 68
    assert last.get(("hub_scrapes_in_flight", frozenset()), 0) == 0
    assert last["hub_workers", frozenset()] == 4
    (used,) = [value for key, value in last.items() if key[0] == "hub_token_last_used_timestamp_seconds"]
    assert used >= max(value for key, value in before.items() if "last_used" in key[0])
