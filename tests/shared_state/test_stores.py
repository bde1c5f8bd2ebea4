"""What all stores guarantee, wherever they keep their values."""

import os
import select
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exporters.shared_state.files import FileStore
from exporters.shared_state.layered import Layered
from exporters.shared_state.memory import MemoryStore
from exporters.shared_state.redis import RedisStore
from exporters.shared_state.store import MAX_SHARED_VALUE_BYTES, Kept, Store, StoreError
from exporters.shared_state.wake_up_pipe import WakeUpPipe
from tests.support.programs import require
from tests.support.servers import Redis


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    require("redis-server")
    with Redis() as server:
        yield server


@pytest.fixture(params=["files", "memory", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "files":
        return FileStore(tmp_path / "not" / "there" / "yet")
    if request.param == "memory":
        return MemoryStore()
    server: Redis = request.getfixturevalue("redis_server")
    return RedisStore(server.url)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return str(abs(hash(request.node.nodeid)))


def test_changes_of_a_value_by_many_are_all_kept(store: Store, key: str) -> None:
    def add(_: int) -> int:
        return store.update(key, lambda found, _: (str(int(found or 0) + 1).encode(), int(found or 0)), 60)

    with ThreadPoolExecutor(8) as pool:
        before = list(pool.map(add, range(200)))
    assert sorted(before) == list(range(200))


def test_a_value_that_gets_shorter_leaves_nothing_of_the_longer_one(store: Store, key: str) -> None:
    store.update(key, lambda *_: (b"a long value", None), 60)
    store.update(key, lambda *_: (b"short", None), 60)
    assert store.update(key, lambda found, _: (b"", found), 60) == b"short"


def test_a_lease_is_one_holders_alone_until_it_is_given_up(store: Store, key: str) -> None:
    assert store.ended([key]) == [key]
    lease = store.lease(key, 60, 60)
    assert lease is not None
    assert store.ended([key]) == []
    assert store.lease(key, 60, 60) is None
    other = store.lease(key + "0", 60, 60)
    assert other is not None
    store.renew([lease, other])
    lease.release()
    assert store.ended([key, key + "0"]) == [key]
    again = store.lease(key, 60, 60)
    assert again is not None
    again.release()
    other.release()


def test_a_lease_that_nobody_waits_for_is_given_up_and_one_that_is_wanted_kept(
    store: Store, key: str
) -> None:
    lease = store.lease(key, 60, 60)
    assert lease is not None
    assert lease.release_unless_wanted()
    assert store.ended([key]) == [key]
    lease = store.lease(key, 60, 60)
    assert lease is not None
    assert store.lease(key, 60, 60) is None
    assert not lease.release_unless_wanted()
    assert store.ended([key]) == []
    lease.release()
    # Those who waited were served, so the lease is no longer wanted.
    lease = store.lease(key, 60, 60)
    assert lease is not None
    assert lease.release_unless_wanted()


def test_who_waits_no_longer_leaves_no_lease_wanted(store: Store, key: str) -> None:
    lease = store.lease(key, 60, 60)
    assert lease is not None
    assert store.lease(key, 60, 0.1) is None
    assert store.lease(key, 60, 0.3) is None
    assert store.lease(key, 60, 0.1) is None
    time.sleep(0.15)
    assert not lease.release_unless_wanted(), "one of them waits longer"
    time.sleep(0.2)
    assert lease.release_unless_wanted()


def test_who_was_refused_a_lease_is_notified_of_its_end_once(store: Store, key: str) -> None:
    listener = store.listen()
    try:
        for _ in range(2):
            leases = [store.lease(f"{key}{number}", 60, 60) for number in range(3)]
            for number in (0, 2, 2):
                assert store.lease(f"{key}{number}", 60, 60) is None
            assert listener.read() == []
            for lease in leases:
                assert lease is not None
                lease.release()
            assert select.select([listener], [], [], 10)[0]
            time.sleep(0.05)
            assert sorted(listener.read()) == [f"{key}0", f"{key}2"]
            assert listener.read() == []
    finally:
        listener.close()


def test_of_many_that_want_a_lease_one_has_it(store: Store, key: str) -> None:
    start = threading.Barrier(8)

    def want(_: int) -> object:
        start.wait(10)
        return store.lease(key, 60, 60)

    with ThreadPoolExecutor(8) as pool:
        assert sum(lease is not None for lease in pool.map(want, range(8))) == 1


def test_a_result_is_kept_under_its_stamp_and_can_be_dropped(store: Store, key: str) -> None:
    assert (store.stamp(key), store.get(key)) == (None, None)
    store.put(key, Kept("a" * 32, b"\x00first", 0), 60)
    store.put(key, Kept("b" * 32, b"\x00second", 0), 60)
    assert store.stamp(key) == "b" * 32
    kept = store.get(key)
    assert kept is not None
    assert (kept.stamp, kept.body) == ("b" * 32, b"\x00second")
    store.forget(key)
    store.forget(key)
    assert (store.stamp(key), store.get(key)) == (None, None)


def test_a_result_gets_older_from_the_age_that_it_had(store: Store, key: str) -> None:
    began = time.monotonic()
    store.put(key, Kept("stamp", b"body", 40.0), 60)
    ages = []
    for _ in range(3):
        time.sleep(0.05)
        kept = store.get(key)
        assert kept is not None
        ages.append(kept.age_seconds)
    assert 40.049 <= ages[0] < ages[1] < ages[2] <= 40.002 + time.monotonic() - began


def test_a_change_is_given_a_time_that_goes_on_evenly(store: Store, key: str) -> None:
    def look(_: bytes | None, now: float) -> tuple[bytes, float]:
        return b"", now

    began, first = time.monotonic(), store.update(key, look, 60)
    time.sleep(0.2)
    assert 0.2 <= store.update(key, look, 60) - first <= time.monotonic() - began
    other = store.update(key + "0", look, 60)
    assert 0.2 <= other - first <= time.monotonic() - began  # one clock for all values


def test_a_value_that_does_not_fit_is_an_error_and_changes_nothing(store: Store, key: str) -> None:
    fits = b"x" * MAX_SHARED_VALUE_BYTES
    store.update(key, lambda *_: (fits, None), 60)
    with pytest.raises(StoreError, match="longer than 4096 bytes"):
        store.update(key, lambda *_: (fits + b"x", None), 60)
    assert store.update(key, lambda found, _: (b"", found), 60) == fits


def test_a_file_that_is_too_long_is_never_read_in_part(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.update("key", lambda *_: (b"x", None), 60)
    [path] = tmp_path.glob("*/key.value")
    path.write_bytes(b"x" * (MAX_SHARED_VALUE_BYTES + 1))
    with pytest.raises(StoreError):
        store.update("key", lambda found, _: (b"", found), 60)


def test_what_was_kept_before_the_machine_started_is_not_used_and_swept(tmp_path: Path) -> None:
    """The machine's clock has started over since, so the age is unknown."""
    former = FileStore(tmp_path, boot_id="former")
    former.update("key", lambda *_: (b"x", None), 60)
    former.put("key", Kept("stamp", b"body", 0), 60)
    store = FileStore(tmp_path)
    assert store.get("key") is None
    assert store.update("key", lambda found, _: (b"y", found), 60) is None
    assert former.get("key") is not None
    store.sweep()
    assert former.get("key") is None
    assert [path.name for path in tmp_path.glob("*/*")] == ["key.value"]


def test_a_disk_that_is_full_leaves_no_damaged_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path)
    store.update("key", lambda *_: (b"former", None), 60)
    # Simulates a full disk.
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: len(data) // 2)
    with pytest.raises(StoreError, match="could not be written"):
        store.update("key", lambda *_: (b"new", None), 60)
    monkeypatch.undo()
    assert store.update("key", lambda found, _: (b"", found), 60) is None


def test_pipes_of_processes_that_have_ended_are_removed(tmp_path: Path) -> None:
    ended, waiting = FileStore(tmp_path), FileStore(tmp_path)
    ended.listen().close()
    listener = waiting.listen()
    lease = FileStore(tmp_path).lease("key", 60, 60)
    assert lease is not None
    for store in (ended, waiting):
        assert store.lease("key", 60, 60) is None
    assert len(list(tmp_path.glob("*/pipes/*"))) == 1
    lease.release()
    assert listener.read() == ["key"]
    listener.close()
    FileStore(tmp_path).listen().close()
    assert len(list(tmp_path.glob("*/pipes/*"))) == 1


def test_processes_that_begin_to_listen_at_once_remove_no_pipe_of_each_other(tmp_path: Path) -> None:
    def listen(_: int) -> WakeUpPipe:
        store = FileStore(tmp_path, "boot")
        pipe = store.listen()
        assert (tmp_path / "boot" / "pipes" / store._pipe).exists()
        return pipe

    with ThreadPoolExecutor(4) as pool:
        pipes = list(pool.map(listen, range(100)))
    for pipe in pipes:
        pipe.close()


def test_a_damaged_lease_file_holds_nobody_up(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    lease = store.lease("key", 60, 60)
    assert lease is not None
    [path] = tmp_path.glob("*/key.lease")
    path.write_bytes(b"\xff../../etc nan\n0123456789abcdef 1e999\n" + b"x" * 100_000)
    assert lease.release_unless_wanted()
    assert path.stat().st_size == 0


def test_a_lease_in_redis_ends_soon_after_its_holder_unless_it_is_renewed(redis_server: Redis) -> None:
    store = RedisStore(redis_server.url)
    lost, kept = store.lease("lost", 0.5, 60), store.lease("kept", 0.5, 60)
    assert lost is not None
    assert kept is not None
    deadline = time.monotonic() + 20
    while not store.ended(["lost"]):
        store.renew([kept])
        time.sleep(0.05)
        assert time.monotonic() < deadline
    assert store.ended(["kept"]) == []
    successor = store.lease("lost", 60, 60)
    assert successor is not None
    # Late calls neither take the lease from its holder nor keep anything alive.
    store.renew([lost])
    assert lost.release_unless_wanted()
    lost.release()
    assert store.ended(["lost", "kept"]) == []
    successor.release()
    kept.release()


class Broken(MemoryStore):
    name = "broken"
    asked = 0

    def stamp(self, key: str) -> str | None:
        self.asked += 1
        raise StoreError("out of order")


def test_a_store_that_fails_is_left_alone_for_a_while_and_the_next_one_does_its_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken, memory = Broken(), MemoryStore()
    memory.put("key", Kept("stamp", b"body", 0), 60)
    layered = Layered([broken, memory])
    assert [layered.do(lambda store: store.stamp("key")) for _ in range(5)] == ["stamp"] * 5
    assert broken.asked == 1
    assert layered.degraded() == {"broken": "out of order"}
    assert caplog.text.count("can't share reads through broken for now") == 1


def test_a_folder_that_can_not_be_written_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = FileStore(tmp_path / "file" / "folder")
    with pytest.raises(StoreError):
        store.lease("key", 60, 60)
    with pytest.raises(StoreError):
        store.listen()
    with pytest.raises(StoreError):
        store.put("key", Kept("stamp", b"", 0), 60)


def test_many_scrapes_at_a_time_find_redis_as_few_do(redis_server: Redis, tmp_path: Path) -> None:
    together = threading.Barrier(150, timeout=20)
    layered = Layered([RedisStore(redis_server.url), FileStore(tmp_path)])

    def ask(number: int) -> None:
        def change(found: bytes | None, now: float) -> tuple[bytes, None]:
            together.wait()  # each has its connection by now
            return b"1", None

        layered.do(lambda store: store.update(f"{number}", change, 60))

    with ThreadPoolExecutor(together.parties) as pool:
        list(pool.map(ask, range(together.parties)))
    assert layered.degraded() == {}
