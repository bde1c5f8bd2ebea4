"""The store for all replicas: Redis, through HUB_REDIS_URL."""

import contextlib
import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import redis

from .store import Change, Kept, Lease, StoreError, checked, use_everything

T = TypeVar("T")

_PREFIX = "hub:"
# Timeout of one command. With a hanging Redis, an occasional scrape loses this much time.
_TIMEOUT_SECONDS = 0.5
# More than the number of threads. With redis-py's default limit of 100, scrapes would consider Redis unavailable.
_CONNECTIONS = 10_000
# How long keys of a probe live if it doesn't delete them.
_PROBE_SECONDS = 5.0
# Takes a lease (KEYS: its own and that of the set of waiting processes; ARGV: its mark, milliseconds). If refused, adds
# the process's channel to the set for as long as it waits.
_TAKE = """
if redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
redis.call('sadd', KEYS[2], ARGV[3])
if redis.call('pttl', KEYS[2]) < tonumber(ARGV[4]) then redis.call('pexpire', KEYS[2], ARGV[4]) end
return 0
"""
# Renews those leases (KEYS; ARGV: milliseconds, and their marks) that are still held under their marks.
_RENEW = """
for number, name in ipairs(KEYS) do
  if redis.call('get', name) == ARGV[number + 1] then redis.call('pexpire', name, ARGV[1]) end
end
return 1
"""
# Releases a lease that is still held under its mark, and notifies waiting processes (ARGV: its mark, its key). If
# ARGV[3] is 1, keeps it while processes wait.
_RELEASE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 1 end
local channels = redis.call('smembers', KEYS[2])
if #channels > 0 and ARGV[3] == '1' then return 0 end
redis.call('del', KEYS[1], KEYS[2])
for _, channel in ipairs(channels) do redis.call('publish', channel, ARGV[2]) end
return 1
"""


class RedisStore:
    name = "redis"
    waits = True

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(
            url,
            max_connections=_CONNECTIONS,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            # No retries: `Layered` continues with the next store immediately.
            retry=None,
        )
        # This process's channel, for the ends of leases.
        self._channel = f"{_PREFIX}{secrets.token_hex(8)}"

    def update(self, key: str, change: Change[T], seconds: float) -> T:
        name = f"{_PREFIX}{key}:value"
        with self._connection() as connection:
            while True:  # until no other client changes it in between
                with _as_store_error():
                    _, found, (whole, microseconds) = _ask(
                        connection, ("WATCH", name), ("GET", name), ("TIME",)
                    )
                    former = None if found is None else checked(found)
                    now = int(whole) + int(microseconds) / 1e6
                changed, result = change(former, now)
                new = checked(changed)
                with _as_store_error():
                    *_, done = _ask(
                        connection, ("MULTI",), ("SET", name, new, "PX", _milliseconds(seconds)), ("EXEC",)
                    )
                    for answer in done or ():
                        if isinstance(answer, Exception):
                            raise answer
                if done is not None:
                    return result

    def lease(self, key: str, seconds: float, wanted_seconds: float) -> Lease | None:
        lease = _RedisLease(self._client, key, seconds)
        waits = (self._channel, _milliseconds(wanted_seconds))
        with _as_store_error():
            taken = self._client.eval(
                _TAKE, 2, lease.name, lease.waiting, lease.mark, _milliseconds(seconds), *waits
            )
            return lease if taken else None

    def renew(self, leases: "Sequence[_RedisLease]") -> None:
        with _as_store_error():
            names, marks = [lease.name for lease in leases], [lease.mark for lease in leases]
            seconds = max(lease.seconds for lease in leases)
            self._client.eval(_RENEW, len(names), *names, _milliseconds(seconds), *marks)

    def ended(self, keys: Sequence[str]) -> list[str]:
        with _as_store_error():
            marks = self._client.mget([_lease(key) for key in keys])
            return [key for key, mark in zip(keys, marks, strict=True) if mark is None]

    def listen(self) -> "_Subscription":
        with _as_store_error():
            return _Subscription(self._client.connection_pool, self._channel)

    def put(self, key: str, kept: Kept, seconds: float) -> None:
        name = f"{_PREFIX}{key}:result"
        with _as_store_error(), self._client.pipeline() as pipe:
            pipe.hset(name, mapping={"stamp": kept.stamp, "body": kept.body, "seconds": repr(seconds)})
            # Redis tracks the age by the expiry: `get` calculates it from the remaining time.
            pipe.pexpire(name, _milliseconds(seconds - kept.age_seconds))
            pipe.execute()

    def stamp(self, key: str) -> str | None:
        with _as_store_error():
            found = self._client.hget(f"{_PREFIX}{key}:result", "stamp")
            return None if found is None else str(found, "ascii")

    def get(self, key: str) -> Kept | None:
        name = f"{_PREFIX}{key}:result"
        with _as_store_error(), self._client.pipeline() as pipe:
            pipe.hmget(name, "stamp", "body", "seconds")
            pipe.pttl(name)
            (stamp, body, seconds), left = pipe.execute()
            if stamp is None or body is None or seconds is None:
                return None
            return Kept(str(stamp, "ascii"), body, float(seconds) - left / 1000)

    def forget(self, key: str) -> None:
        with _as_store_error():
            self._client.delete(f"{_PREFIX}{key}:result")

    def probe(self) -> None:
        """Run every command that the methods above use."""
        try:
            use_everything(self, f"probe-{secrets.token_hex(8)}", _PROBE_SECONDS)
        except StoreError:
            # Makes the next probe resolve the name again, because this server may have become a replica.
            self._client.connection_pool.disconnect(inuse_connections=False)
            raise

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        """Lend a connection on which a key can be watched."""
        pool = self._client.connection_pool
        with _as_store_error():
            connection = pool.get_connection()
        try:
            yield connection
        except BaseException:
            connection.disconnect()  # drops watched keys and pending answers
            raise
        finally:
            pool.release(connection)


class _RedisLease:
    def __init__(self, client: Any, key: str, seconds: float) -> None:
        self._client = client
        self._key = key
        self.name = _lease(key)
        self.waiting = f"{_PREFIX}{key}:waiting"
        self.mark = secrets.token_hex(8)
        self.seconds = seconds

    def release_unless_wanted(self) -> bool:
        return self._release(unless_wanted=True)

    def release(self) -> None:
        self._release(unless_wanted=False)

    def _release(self, *, unless_wanted: bool) -> bool:
        with _as_store_error():
            return bool(
                self._client.eval(
                    _RELEASE, 2, self.name, self.waiting, self.mark, self._key, int(unless_wanted)
                )
            )


class _Subscription:
    """A connection on which Redis sends the keys of ended leases."""

    def __init__(self, pool: Any, channel: str) -> None:
        self._pool = pool
        self._connection = pool.get_connection()
        try:
            self._connection.send_command("SUBSCRIBE", channel)
            kind, *_ = self._connection.read_response(push_request=True)
            if kind != b"subscribe":
                raise ValueError("no subscription")
            # redis-py has no other way to wait for several connections at once.
            self._descriptor: int = self._connection._sock.fileno()
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> list[str]:
        keys = []
        with _as_store_error():
            while self._connection.can_read(0):
                kind, *_, key = self._connection.read_response(push_request=True)
                if kind == b"message":
                    keys.append(str(key, "ascii"))
        return keys

    def close(self) -> None:
        self._connection.disconnect()
        self._pool.release(self._connection)


def _lease(key: str) -> str:
    return f"{_PREFIX}{key}:lease"


def _ask(connection: Any, *commands: tuple[Any, ...]) -> list[Any]:
    """Send commands and return their answers, in one round trip."""
    connection.send_packed_command(connection.pack_commands(commands))
    return [connection.read_response() for _ in commands]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


@contextlib.contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise StoreError(_reason(error)) from None
    except OSError as error:
        raise StoreError(error.strerror or type(error).__name__) from None
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        # redis-py and the code above raise these for answers that Redis never sends.
        raise StoreError("It does not respond like Redis.") from None


# The first match counts; some are subclasses of ConnectionError.
_REASONS: Sequence[tuple[type[redis.RedisError], str]] = (
    (redis.ReadOnlyError, "It is read-only, like a replica."),
    (redis.exceptions.OutOfMemoryError, "It is out of memory."),
    (redis.BusyLoadingError, "It is still loading its data."),
    (redis.AuthenticationError, "It rejected the user or password in HUB_REDIS_URL."),
    (redis.TimeoutError, f"It did not respond within {_TIMEOUT_SECONDS:g} s."),
    (redis.ConnectionError, "It can't be reached."),
)
_COMMAND = re.compile(r"(?:the '|unknown command ['`]?)([A-Za-z|]{2,32})\b")
_CODE = re.compile(r"[A-Z]{2,20}\b")


def _reason(error: redis.RedisError) -> str:
    """Return what is wrong, without Redis's own message, which can contain the address, the user and the keys."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    if command := _COMMAND.search(str(error)):
        return f"It doesn't allow the command {command[1].upper()} (docs/operations.md lists what the hub needs)."
    if "access" in str(error) and "channel" in str(error):
        return "It doesn't allow the channels hub:* (docs/operations.md)."
    if "executing the script can't run" in str(error):  # Redis 7.0 doesn't name the command
        commands = "GET, SET, DEL, PTTL, PEXPIRE, SADD, SMEMBERS or PUBLISH"
        return f"It doesn't allow a command that EVAL runs: {commands} (docs/operations.md)."
    code = _CODE.match(str(error))
    return f"It returned {code[0]}." if code else f"It returned an error ({type(error).__name__})."
