"""A real Redis refuses some of what the hub needs: scrapes continue immediately, and the hub reports the problem."""

import contextlib
import json
import re
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from exporters.shared_state import store as store_module
from exporters.shared_state.files import FileStore
from exporters.shared_state.layered import HeldLease, Layered
from exporters.shared_state.redis import RedisStore, _RedisLease
from exporters.shared_state.store import Kept, StoreError
from tests.support.programs import require
from tests.support.servers import Redis, wait_for

from .conftest import StartHub

ROOT = Path(__file__).resolve().parents[2]
# The rules of a strict administrator: they look sufficient, but don't include EVAL.
WITHOUT_EVAL = "~* &* +@read +@write +@transaction +@connection +@pubsub +time -@scripting"


def documented() -> list[str]:
    """Return the rules for the hub's user in docs/operations.md."""
    (line,) = re.findall(
        r"^ACL SETUSER hub (.*)$", (ROOT / "docs/operations.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    return str(line).replace(">PASSWORD", "nopass").split()


COMMANDS = [rule for rule in documented() if rule.startswith("+") and "@" not in rule]


class Configured(Redis):
    """A Redis with its own options."""

    options: Sequence[str] = ()

    def command(self) -> Sequence[str]:
        return [*super().command(), *self.options]


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_REST_SECONDS", 0.2)


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    require("redis-server")
    with Redis() as server:
        yield server


def client_of(server: Redis) -> Any:
    return redis_client.Redis(port=server.port, retry=None)


def as_user(server: Redis, rules: str | Sequence[str], name: str = "hub") -> str:
    """Create a user; return the URL with which it connects to the server."""
    words = rules.split() if isinstance(rules, str) else rules
    with client_of(server) as client:
        client.execute_command("ACL", "SETUSER", name, "reset", "on", "nopass", *words)
    return f"redis://{name}:x@127.0.0.1:{server.port}/0"


def use(layered: Layered, key: str = "aa") -> float:
    """Do what a scrape does; return the time in seconds."""
    started = time.monotonic()
    lease = layered.lease(key, 3, 60)
    assert isinstance(lease, HeldLease)
    layered.do(lambda each: each.update(key, lambda found, now: (b"1", None), 60))
    lease.release()
    return time.monotonic() - started


def test_the_documented_user_is_allowed_everything_that_scrapes_need(server: Redis) -> None:
    RedisStore(as_user(server, documented())).probe()


@pytest.mark.parametrize("command", COMMANDS)
def test_without_any_command_that_is_documented_the_probe_names_it(server: Redis, command: str) -> None:
    store = RedisStore(as_user(server, [*documented(), command.replace("+", "-")]))
    with pytest.raises(StoreError, match=rf"doesn't allow .*\b{command[1:].upper()}\b"):
        store.probe()


def test_without_eval_scrapes_share_through_files_at_once(server: Redis, tmp_path: Path) -> None:
    url = as_user(server, WITHOUT_EVAL)
    layered = Layered([RedisStore(url), FileStore(tmp_path)])
    assert [use(layered) < 0.5 for _ in range(5)] == [True] * 5
    assert "the command EVAL" in layered.degraded()["redis"]
    # No lease is left in Redis for others to wait for.
    assert RedisStore(f"redis://127.0.0.1:{server.port}/0").ended(["aa"]) == ["aa"]


def test_without_the_channels_scrapes_share_through_files_and_it_is_said(
    server: Redis, tmp_path: Path
) -> None:
    rules = [rule for rule in documented() if not rule.startswith("&")]
    layered = Layered([RedisStore(as_user(server, ["resetchannels", *rules])), FileStore(tmp_path)])
    assert use(layered) < 0.5
    assert "the channels hub:*" in layered.degraded()["redis"]


def test_a_command_that_is_renamed_is_named(tmp_path: Path) -> None:
    require("redis-server")
    server = Configured()
    server.options = ("--rename-command", "EVAL", "")
    with server:
        layered = Layered([RedisStore(server.url), FileStore(tmp_path)])
        use(layered)
        assert "the command EVAL" in layered.degraded()["redis"]


def _take_eval(server: Redis) -> Callable[[], object]:
    as_user(server, "~* &* +@all -eval", "default")
    return lambda: as_user(server, "~* &* +@all", "default")


def _become_a_replica(server: Redis) -> Callable[[], object]:
    client_of(server).replicaof("127.0.0.1", 1)
    return lambda: client_of(server).replicaof("NO", "ONE")


def _fill_the_memory(server: Redis) -> Callable[[], object]:
    client_of(server).config_set("maxmemory", 1)
    return lambda: client_of(server).config_set("maxmemory", 0)


def _want_a_password(server: Redis) -> Callable[[], object]:
    client = client_of(server)
    client.config_set("requirepass", "pa55word")
    client.client_kill_filter(_type="normal", skipme=True)
    return lambda: client.config_set("requirepass", "")


def _hang(server: Redis) -> Callable[[], object]:
    server.pause()
    return server.resume


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (_take_eval, "the command EVAL"),
        (_become_a_replica, "read-only"),
        (_fill_the_memory, "out of memory"),
        (_want_a_password, "rejected the user or password"),
        (_hang, "did not respond within"),
    ],
)
def test_what_redis_loses_later_is_said_and_comes_back_by_itself(
    fault: Callable[[Redis], Callable[[], object]], reason: str, tmp_path: Path
) -> None:
    require("redis-server")
    with Redis() as server:
        layered = Layered([RedisStore(server.url), FileStore(tmp_path)])
        use(layered)
        assert layered.degraded() == {}
        mend = fault(server)
        try:
            # Whatever fails first, the following uses go on without Redis.
            assert [use(layered, key) < 2 for key in ("bb", "cc", "dd")] == [True] * 3
            wait_for(lambda: use(layered, "ee") < 2 and bool(layered.degraded()), "it is noticed")
            assert reason in layered.degraded()["redis"]
            assert "pa55word" not in layered.degraded()["redis"]
        finally:
            mend()
        wait_for(lambda: use(layered, "ff") < 2 and not layered.degraded(), "Redis is used again")


def test_a_redis_that_still_loads_its_data_is_said_to_do_so(tmp_path: Path) -> None:
    require("redis-server")
    server = Configured()
    with server:
        client = client_of(server)
        with client.pipeline() as pipe:
            for number in range(3000):
                pipe.set(f"key-{number}", "x" * 1000)
            pipe.execute()
        client.save()
        server.stop()
        server.options = (
            *("--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024"),
            *("--dbfilename", "dump.rdb"),
        )
        server.start()
        layered = Layered([RedisStore(server.url), FileStore(tmp_path)])
        use(layered)
        assert "loading" in layered.degraded()["redis"]


@pytest.mark.e2e
def test_a_hub_whose_redis_refuses_eval_scrapes_at_once_and_readiness_says_it_before_any_scrape(
    start_hub: StartHub, redis: Redis
) -> None:
    url = as_user(redis, WITHOUT_EVAL)
    hub, token = start_hub(HUB_REDIS_URL=url)

    def shared_state() -> str:
        status, body = hub.get("/-/ready")
        assert status == 200
        said: str = json.loads(body)["checks"]["shared_state"]
        return said

    wait_for(lambda: "EVAL" in shared_state(), "readiness names the command", 10)
    for _ in range(6):
        started = time.monotonic()
        assert "servicebus_up 1.0" in hub.get("/metrics/payments", token)[1]
        assert time.monotonic() - started < 1.5
    as_user(redis, "~* &* +@all")
    wait_for(lambda: {shared_state() for _ in range(8)} == {"ok"}, "both workers use Redis again", 40)


class _Foreign(socketserver.BaseRequestHandler):
    """Sends the same response to every command."""

    answer = b""

    def handle(self) -> None:
        while commands := self.request.recv(65536):
            self.request.sendall(self.answer * commands.count(b"\r\n*") + self.answer)


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture(params=[b"+OK\r\n", b":1\r\n", b"*0\r\n", b"$2\r\n\xff\xfe\r\n", b":x\r\n", b"*1\r\n" * 2000])
def foreign_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with _Threads(("127.0.0.1", 0), type("Foreign", (_Foreign,), {"answer": request.param})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        server.shutdown()


def test_a_server_that_answers_what_redis_never_sends_costs_sharing_alone(
    foreign_url: str, tmp_path: Path
) -> None:
    layered = Layered([RedisStore(foreign_url), FileStore(tmp_path)])
    assert use(layered) < 2
    assert layered.degraded() == {"redis": "It does not respond like Redis."}


def test_no_command_stumbles_over_what_redis_never_sends(foreign_url: str) -> None:
    store = RedisStore(foreign_url)
    actions: list[Callable[[], object]] = [
        lambda: store.update("aa", lambda found, now: (b"1", None), 60),
        lambda: store.lease("aa", 3, 60),
        lambda: store.renew([_RedisLease(store._client, "aa", 3)]),
        lambda: _RedisLease(store._client, "aa", 3).release_unless_wanted(),
        lambda: store.ended(["aa"]),
        lambda: store.listen().read(),
        lambda: store.put("aa", Kept("stamp", b"body", 0.0), 60),
        lambda: store.stamp("aa"),
        lambda: store.get("aa"),
        lambda: store.forget("aa"),
    ]
    for action in actions:
        with contextlib.suppress(StoreError):  # no other exception
            action()


def test_a_bug_in_a_change_is_not_blamed_on_redis(server: Redis) -> None:
    def broken(found: bytes | None, now: float) -> tuple[bytes, None]:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        RedisStore(server.url).update("aa", broken, 60)
