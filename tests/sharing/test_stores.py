"""What all stores promise, whatever they keep it in."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.servers import Redis
from exporters.sharing.files import FileStore
from exporters.sharing.memory import MemoryStore
from exporters.sharing.redis import RedisStore
from exporters.sharing.store import Layered, Store, StoreError
from tests.programs import require


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
        return store.update(key, lambda found: (str(int(found or 0) + 1).encode(), int(found or 0)), 60)

    with ThreadPoolExecutor(8) as pool:
        before = list(pool.map(add, range(200)))
    assert sorted(before) == list(range(200))


def test_a_value_that_gets_shorter_leaves_nothing_of_the_longer_one(store: Store, key: str) -> None:
    store.update(key, lambda _: (b"a long value", None), 60)
    store.update(key, lambda _: (b"short", None), 60)
    assert store.update(key, lambda found: (b"", found), 60) == b"short"


def test_a_lease_is_one_holders_alone_until_it_is_given_up(store: Store, key: str) -> None:
    assert not store.is_leased(key)
    lease = store.lease(key, 60)
    assert lease is not None
    assert store.is_leased(key)
    assert store.lease(key, 60) is None
    other = store.lease(key + "0", 60)
    assert other is not None
    lease.renew()
    lease.release()
    assert not store.is_leased(key)
    again = store.lease(key, 60)
    assert again is not None
    again.release()
    other.release()


def test_of_many_that_want_a_lease_one_has_it(store: Store, key: str) -> None:
    start = threading.Barrier(8)

    def want(_: int) -> object:
        start.wait(10)
        return store.lease(key, 60)

    with ThreadPoolExecutor(8) as pool:
        assert sum(lease is not None for lease in pool.map(want, range(8))) == 1


def test_a_result_is_kept_under_its_stamp_and_can_be_dropped(store: Store, key: str) -> None:
    assert (store.stamp(key), store.get(key)) == (None, None)
    store.put(key, "a" * 32, b"\x00first", 60)
    store.put(key, "b" * 32, b"\x00second", 60)
    assert store.stamp(key) == "b" * 32
    assert store.get(key) == ("b" * 32, b"\x00second")
    store.forget(key)
    store.forget(key)
    assert (store.stamp(key), store.get(key)) == (None, None)


def test_a_lease_in_redis_ends_soon_after_its_holder_unless_it_is_renewed(redis_server: Redis) -> None:
    store = RedisStore(redis_server.url)
    lost, kept = store.lease("lost", 0.5), store.lease("kept", 0.5)
    assert lost is not None
    assert kept is not None
    deadline = time.monotonic() + 20
    while store.is_leased("lost"):
        kept.renew()
        time.sleep(0.05)
        assert time.monotonic() < deadline
    assert store.is_leased("kept")
    lost.release()  # comes too late, and takes nobody's lease away
    assert store.is_leased("kept")


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
    memory.put("key", "stamp", b"body", 60)
    layered = Layered([broken, memory])
    assert [layered.do(lambda store: store.stamp("key")) for _ in range(5)] == ["stamp"] * 5
    assert broken.asked == 1
    assert layered.degraded() == ["broken"]
    assert caplog.text.count("share nothing through broken for now") == 1


def test_a_folder_that_can_not_be_written_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = FileStore(tmp_path / "file" / "folder")
    with pytest.raises(StoreError):
        store.lease("key", 60)
    with pytest.raises(StoreError):
        store.put("key", "stamp", b"", 60)
