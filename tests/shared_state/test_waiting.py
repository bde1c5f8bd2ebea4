"""Scrapes of several processes wait for each other's reads while holders are killed or hang and Redis goes away.

Every scrape is answered in time, and none is answered from a read that it must not use.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from exporters.servicebus import clock
from exporters.shared_state import lease_watch
from exporters.shared_state.files import FileStore
from exporters.shared_state.layered import HeldLease, Layered, Wait
from exporters.shared_state.memory import MemoryStore
from exporters.shared_state.redis import RedisStore
from exporters.shared_state.store import Store
from tests.support.servers import Redis, wait_for

ROOT = Path(__file__).parents[2]
# How late a scrape may be on a busy machine. Each call to a hanging Redis takes 0.5 s of it.
GRACE = 2.0
# How much two processes may differ on the time of a read: a store is given an age, and the transfer takes time.
INEXACT = 0.6


class Scrapers:
    """Processes that scrape; their output is collected."""

    def __init__(self, variables: dict[str, str], **wanted: Any) -> None:
        self.said: list[dict[str, Any]] = []
        self.stopped: dict[int, list[tuple[float, float]]] = defaultdict(list)
        self._variables = variables
        self._wanted = {
            "namespaces": 4,
            "threads": 8,
            "read_seconds": [0.02, 0.6],
            "scrape_seconds": [0.3, 3.0],
            "pause_seconds": 0.3,
            **wanted,
        }
        self._readers: list[threading.Thread] = []
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.shared_state.scraper", json.dumps(self._wanted)],
            cwd=ROOT,
            env={**os.environ, **self._variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        reader = threading.Thread(target=self._collect, args=(process,))
        reader.start()
        self._readers.append(reader)
        self.processes.append(process)
        wait_for(lambda: any(each["pid"] == process.pid for each in list(self.said)), "it scrapes")
        return process

    def _collect(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                if line.endswith("\n"):  # otherwise it was killed while writing
                    self.said.append(json.loads(line))

    def kill(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
        self.processes.remove(process)

    def stop_for(self, process: "subprocess.Popen[str]", seconds: float) -> None:
        began = clock.now()
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)
        self.stopped[process.pid].append((began, clock.now()))

    def end(self) -> None:
        """Let all processes finish what they have begun."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.processes:
            assert process.wait(30) == 0
        for reader in self._readers:
            reader.join(30)

    def close(self) -> None:
        for process in list(self.processes):
            self.kill(process)
        for reader in self._readers:
            reader.join(30)

    def scrapes(self) -> list[dict[str, Any]]:
        return [each for each in self.said if "scraped" in each]

    def reads(self) -> dict[str, list[dict[str, Any]]]:
        found = defaultdict(list)
        for each in self.said:
            if "read" in each:
                found[each["read"]].append(each)
        return found

    def slept(self, scrape: dict[str, Any]) -> bool:
        """Return whether the process was stopped during a scrape, or so shortly before that it had to catch up."""
        return any(
            began <= scrape["answered"] and scrape["came"] <= ended + 0.5
            for began, ended in self.stopped[scrape["pid"]]
        )


def check(scrapers: Scrapers) -> None:
    """Check what must always hold."""
    scrapes = scrapers.scrapes()
    origins = {each["origin"] for each in scrapes}
    assert {"read", "shared"} <= origins
    reads = {(each["read"], round(each["began"] * 1e6)): each for each in scrapers.said if "read" in each}
    from_elsewhere = 0
    for scrape in scrapes:
        if not scrapers.slept(scrape):
            assert scrape["answered"] <= scrape["deadline"] + GRACE, scrape
        if scrape["origin"] == "bug":
            continue
        if scrape["reason"] == "timeout":
            assert not scrape["queues"]
            # It must not time out because another scrape had less time. Up to half a second less counts as the same.
            assert scrape["answered"] >= scrape["deadline"] - 0.5 - INEXACT, scrape
            continue
        assert scrape["reason"] is None
        [[name, began, ended]] = scrape["queues"]
        assert name == scrape["scraped"]
        assert abs(scrape["began"] - began / 1e6) <= INEXACT, scrape
        assert ended / 1e6 >= scrape["came"] - INEXACT, f"a read that was over: {scrape}"
        if scrape["origin"] == "read":
            assert scrape["age"] == 0
        else:
            assert abs(scrape["age"] - (scrape["answered"] - scrape["began"])) <= INEXACT, scrape
        # A read is missing if its process was killed before it could report the read.
        read = reads.get((name, began))
        from_elsewhere += read is not None and read["pid"] != scrape["pid"]
    assert from_elsewhere > 5, "reads are shared between the processes"


@pytest.fixture(params=["files", "redis"])
def variables(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    found = {"HUB_DATA_DIR": str(tmp_path / "data")}
    if request.param == "redis":
        found["HUB_REDIS_URL"] = request.getfixturevalue("redis").url
    return found


@pytest.fixture
def scrapers(variables: dict[str, str]) -> Iterator[Scrapers]:
    started = Scrapers(variables)
    yield started
    started.close()


@pytest.mark.e2e
def test_undisturbed_processes_never_read_a_namespace_at_the_same_time(scrapers: Scrapers) -> None:
    for _ in range(3):
        scrapers.start()
    time.sleep(5)
    scrapers.end()
    check(scrapers)
    for reads in scrapers.reads().values():
        reads.sort(key=lambda read: read["began"])
        assert all(former["ended"] <= later["began"] for former, later in pairwise(reads))


@pytest.mark.e2e
def test_scrapes_are_answered_in_time_while_holders_are_killed(scrapers: Scrapers) -> None:
    for _ in range(3):
        scrapers.start()
    for _ in range(6):
        time.sleep(random.uniform(0.3, 1.0))
        scrapers.kill(random.choice(scrapers.processes))
        scrapers.start()
    scrapers.end()
    check(scrapers)


@pytest.mark.e2e
def test_scrapes_are_answered_in_time_while_holders_hang(scrapers: Scrapers) -> None:
    for _ in range(3):
        scrapers.start()
    for seconds in (1.0, 4.5, 2.0):
        scrapers.stop_for(random.choice(scrapers.processes), seconds)
        time.sleep(1)
    scrapers.end()
    check(scrapers)


@pytest.mark.e2e
@pytest.mark.parametrize("variables", ["redis"], indirect=True)
def test_scrapes_are_answered_in_time_while_redis_goes_away_and_comes_back(
    scrapers: Scrapers, redis: Redis
) -> None:
    for _ in range(3):
        scrapers.start()
    time.sleep(1)
    redis.pause()
    time.sleep(2)
    redis.resume()
    time.sleep(4)
    redis.kill()
    time.sleep(2)
    redis.start()
    time.sleep(4)
    with redis_client.Redis(port=redis.port) as client:
        for _ in range(5):
            client.client_kill_filter(_type="pubsub")
            time.sleep(0.2)
    scrapers.end()
    check(scrapers)


@pytest.mark.e2e
def test_bugs_of_reads_are_their_own_scrapes_alone(variables: dict[str, str]) -> None:
    scrapers = Scrapers(variables, bugs=0.3)
    try:
        for _ in range(2):
            scrapers.start()
        time.sleep(4)
        scrapers.end()
    finally:
        scrapers.close()
    check(scrapers)
    assert sum(each["origin"] == "bug" for each in scrapers.scrapes()) <= len(
        [each for each in scrapers.said if set(each) == {"pid", "began", "name"}]
    )


@pytest.fixture(params=["files", "memory", "redis"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Layered, Layered]]:
    """The stores of two processes; in memory, both are the same store."""
    memory = MemoryStore()

    def store() -> Store:
        if request.param == "files":
            return FileStore(tmp_path)
        if request.param == "memory":
            return memory
        return RedisStore(request.getfixturevalue("redis").url)

    layers = Layered([store()]), Layered([store()])
    yield layers
    for each in layers:
        each.close()


def held(layered: Layered, key: str) -> HeldLease:
    lease = layered.lease(key, 3, 60)
    assert isinstance(lease, HeldLease)
    return lease


def refused(layered: Layered, key: str) -> Wait:
    wait = layered.lease(key, 3, 60)
    assert isinstance(wait, Wait)
    return wait


@pytest.fixture
def _no_look_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn off polling, so that only notifications can wake anyone."""
    monkeypatch.setattr(lease_watch, "_PERIOD_SECONDS", 3600)


@pytest.mark.usefixtures("_no_look_once_a_second")
def test_many_that_wait_for_one_lease_are_woken_by_its_end_and_for_another_not(
    two: tuple[Layered, Layered],
) -> None:
    holder, other = two
    lease, longer = held(holder, "aa"), held(holder, "bb")
    woken: list[bool] = []
    threads = [
        threading.Thread(target=lambda: woken.append(refused(other, "aa").until_it_ends(30)))
        for _ in range(20)
    ]
    not_woken = threading.Thread(target=lambda: woken.append(refused(other, "bb").until_it_ends(1.5)))
    for thread in (*threads, not_woken):
        thread.start()
    time.sleep(0.5)
    assert woken == []
    assert not lease.release_unless_wanted()
    lease.release()
    for thread in threads:
        thread.join(10)
    assert woken == [True] * 20
    not_woken.join(10)
    assert woken[20:] == [False]
    longer.release()


@pytest.mark.usefixtures("_no_look_once_a_second")
def test_a_lease_that_ended_before_anybody_listened_is_noticed(two: tuple[Layered, Layered]) -> None:
    holder, other = two
    lease = held(holder, "aa")
    wait = refused(other, "aa")
    lease.release()
    assert wait.until_it_ends(30)


def test_a_lease_is_held_for_as_long_as_it_takes(two: tuple[Layered, Layered]) -> None:
    """Longer than a lease in Redis lasts without renewal."""
    holder, other = two
    leases = [held(holder, f"{number:x}") for number in range(30)]
    assert not refused(other, "0").until_it_ends(4)
    for number in range(30):
        refused(other, f"{number:x}")
    for lease in leases:
        lease.release()


def test_a_hundred_scrapes_that_wait_ask_redis_together(redis: Redis) -> None:
    holder, other = (Layered([RedisStore(redis.url)]) for _ in range(2))
    keys = [f"{number:x}" for number in range(100)]
    leases = [held(holder, key) for key in keys]
    threads = [threading.Thread(target=refused(other, key).until_it_ends, args=(30,)) for key in keys]
    for thread in threads:
        thread.start()
    time.sleep(1)
    with redis_client.Redis(port=redis.port) as client:
        client.config_resetstat()
        time.sleep(1.5)
        calls = {name: stats["calls"] for name, stats in client.info("commandstats").items()}
    # If each scrape asked for itself, there would be a hundred per second.
    assert 0 < calls["cmdstat_mget"] < 20
    assert 0 < calls["cmdstat_eval"] < 20
    assert "cmdstat_publish" not in calls
    for lease in leases:
        lease.release()
    for thread in threads:
        thread.join(10)
    other.close()
    holder.close()


def test_the_lease_of_a_process_that_is_killed_ends(variables: dict[str, str], tmp_path: Path) -> None:
    program = """
import sys, django
django.setup()
from exporters.shared_state import shared
lease = shared().lease("aa", 3, 60)
print(type(lease).__name__, flush=True)
sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "hub.settings", **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    url = variables.get("HUB_REDIS_URL")
    layered = Layered([RedisStore(url) if url else FileStore(tmp_path / "data" / "shared")])
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "HeldLease\n"
        assert not refused(layered, "aa").until_it_ends(4), "it is renewed"
        wait = refused(layered, "aa")
        holder.kill()
        assert wait.until_it_ends(30)
        held(layered, "aa").release()
    finally:
        holder.kill()
        holder.communicate()
        layered.close()


def test_a_process_that_has_forked_watches_its_own_leases(redis: Redis, tmp_path: Path) -> None:
    """As with gunicorn's master and its workers, if the application is loaded before the fork."""
    program = """
import os, sys, django
django.setup()
from exporters.shared_state import shared
from exporters.shared_state.layered import Wait
mine = shared().lease("aa", 3, 60)
if os.fork() == 0:
    import time
    other = shared().lease("aa", 3, 60)
    assert isinstance(other, Wait)
    own = shared().lease("bb", 3, 60)
    print("child", flush=True)
    assert not other.until_it_ends(4)
    print(type(shared().lease("bb", 3, 60)).__name__, flush=True)
    os._exit(0)
print("parent", flush=True)
_, status = os.wait()
print("status", status, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "hub.settings",
            "HUB_DATA_DIR": str(tmp_path),
            "HUB_REDIS_URL": redis.url,
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["parent", "child", "Wait", "status", "0"], done.stderr
