"""The database becomes unavailable in each possible way; the configuration stays available."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.servers import PostgreSQL

from .conftest import StartHolder, encryption_key

pytestmark = pytest.mark.e2e


def copy_of(environment: dict[str, str]) -> Path:
    return Path(environment["HUB_DATA_DIR"]) / "configuration.sealed"


def test_a_running_process_goes_on_while_the_database_is_stopped_and_sees_what_changed_after_it(
    start: StartHolder, postgresql: PostgreSQL
) -> None:
    holder, other = start(), start()
    holder.do("add", name="orders")
    assert holder.do("current")["names"] == ["orders"]
    postgresql.stop()
    time.sleep(1)
    for _ in range(5):
        answer = holder.do("current")
        assert answer["names"] == ["orders"]
        assert answer["seconds"] < 0.5
        time.sleep(0.3)
    time.sleep(3.5)  # longer than the pool keeps trying
    answer = holder.do("current")
    assert answer["age"] > 4
    assert answer["problem"]
    postgresql.start()
    assert other.current_until(["orders"])
    other.do("add", name="returns")
    assert holder.current_until(["orders", "returns"])["age"] < 5
    log = holder.log()
    assert log.count("continuing with the last one") == 1
    assert log.count("can be read again") == 1


def test_a_fresh_process_takes_the_copy_while_the_database_is_down(
    start: StartHolder, postgresql: PostgreSQL
) -> None:
    first = start()
    first.do("add", name="orders", secret="Endpoint=sb://orders;SharedAccessKey=abc")
    assert first.current_until(["orders"])
    postgresql.stop()
    first.close()
    time.sleep(1)
    fresh = start()
    answer = fresh.do("current")
    assert answer["names"] == ["orders"]
    assert answer["secrets"] == ["Endpoint=sb://orders;SharedAccessKey=abc"]
    assert answer["seconds"] < 3
    assert answer["age"] >= 1, "the age counts from when the copy was last known to be right"
    assert fresh.do("current")["seconds"] < 0.5
    postgresql.start()
    assert fresh.current_until(["orders"])["age"] < 5
    assert "Continuing with the disk copy" in fresh.log()


def test_a_database_that_hangs_holds_up_nobody(start: StartHolder, postgresql: PostgreSQL) -> None:
    running = start()
    running.do("add", name="orders")
    assert running.current_until(["orders"])
    postgresql.pause()
    time.sleep(0.5)
    assert [running.do("current")["seconds"] < 0.5 for _ in range(3)] == [True] * 3
    fresh = start()
    answer = fresh.do("current")
    assert answer["names"] == ["orders"]
    assert answer["seconds"] < 3
    assert "not responded" in answer["problem"]
    postgresql.resume()
    assert running.current_until(["orders"])["age"] < 5
    assert fresh.current_until(["orders"])["age"] < 5


def test_without_a_copy_a_fresh_process_says_so_and_recovers_by_itself(
    start: StartHolder, postgresql: PostgreSQL, environment: dict[str, str]
) -> None:
    postgresql.stop()
    fresh = start()
    answer = fresh.do("current")
    assert answer["error"] == "ConfigurationUnavailable"
    assert answer["seconds"] < 8
    postgresql.start()
    assert fresh.current_until([])["problem"] == ""


def test_a_change_is_seen_by_the_first_request_after_a_quiet_time(start: StartHolder) -> None:
    quiet, other = start(HUB_RELOAD_SECONDS="0.1"), start()
    quiet.do("max_age", seconds=0.5)
    assert quiet.do("current")["names"] == []
    other.do("add", name="orders")
    time.sleep(1)
    assert quiet.do("current")["names"] == ["orders"]


def test_the_copy_is_private_and_shows_no_secret(start: StartHolder, environment: dict[str, str]) -> None:
    holder = start()
    holder.do("add", name="orders", secret="SharedAccessKey=abcdefgh")
    assert holder.current_until(["orders"])
    copy = copy_of(environment)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert b"abcdefgh" not in copy.read_bytes()
    assert b"orders" not in copy.read_bytes()


@pytest.mark.parametrize("difference", ["keys", "database", "damage", "another version"])
def test_a_copy_that_is_not_this_hubs_own_is_not_used(
    start: StartHolder, environment: dict[str, str], postgresql: PostgreSQL, difference: str
) -> None:
    holder = start()
    holder.do("add", name="orders")
    assert holder.current_until(["orders"])
    holder.close()
    postgresql.stop()
    variables = {}
    copy = copy_of(environment)
    if difference == "keys":
        variables["HUB_ENCRYPTION_KEYS"] = encryption_key()
    elif difference == "database":
        variables["HUB_DATABASE_URL"] = environment["HUB_DATABASE_URL"] + "2"
    elif difference == "damage":
        whole = copy.read_bytes()
        copy.write_bytes(whole[: len(whole) // 2])
    else:
        _write_another_version(copy, environment)
    fresh = start(**variables)
    answer = fresh.do("current")
    assert answer.get("error") == "ConfigurationUnavailable"
    log = fresh.log()
    assert "Not using the configuration's disk copy" in log
    assert "of old" not in log


def _write_another_version(copy: Path, environment: dict[str, str]) -> None:
    """Give each namespace of the copy a format unknown to this version."""
    import hashlib
    from urllib.parse import urlsplit

    from exporters.credentials.encryption import KeyRing

    url = urlsplit(environment["HUB_DATABASE_URL"])
    identity = ["django.db.backends.postgresql", url.hostname or "", str(url.port), url.path[1:]]
    database = hashlib.sha256("\0".join(identity).encode()).hexdigest()
    ring = KeyRing([environment["HUB_ENCRYPTION_KEYS"]])
    with closing(sqlite3.connect(copy)) as file, file:
        for (pk,) in file.execute("SELECT pk FROM copy WHERE kind = 'targets'").fetchall():
            sealed = ring.seal('{"shape": "of old"}', f"configuration copy of {database} targets {pk}")
            file.execute(
                "UPDATE copy SET sealed = ? WHERE kind = 'targets' AND pk = ?", (sealed.ciphertext, pk)
            )


def test_a_key_that_was_added_in_front_still_opens_the_copy(
    start: StartHolder, environment: dict[str, str], postgresql: PostgreSQL
) -> None:
    holder = start()
    holder.do("add", name="orders")
    assert holder.current_until(["orders"])
    postgresql.stop()
    rotated = f"{encryption_key()},{environment['HUB_ENCRYPTION_KEYS']}"
    assert start(HUB_ENCRYPTION_KEYS=rotated).do("current")["names"] == ["orders"]


def test_a_process_that_was_forked_reads_with_connections_of_its_own(start: StartHolder) -> None:
    holder = start()
    holder.do("add", name="orders")
    assert holder.current_until(["orders"])
    assert holder.do("forked")["names"] == ["orders"]
    assert holder.do("current")["names"] == ["orders"]


def test_pages_that_hold_every_connection_delay_the_configuration_but_stop_nothing(
    start: StartHolder, postgresql: PostgreSQL
) -> None:
    holder, other = start(HUB_DATABASE_POOL_SIZE="2"), start()
    other.do("add", name="orders")
    assert holder.current_until(["orders"])
    # Twenty pages share two connections: those that get none within 3 s fail, the others are served.
    answer = holder.do("busy", threads=20, seconds=1.0)
    assert answer["seconds"] < 6
    assert 10 <= len(answer["errors"]) <= 16
    assert all("couldn't get a connection after 3" in error for error in answer["errors"])
    assert holder.current_until(["orders"])["age"] < 5
    connections = postgresql.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'hub'")
    assert int(connections) <= 2 + 8


def test_a_hub_stays_ready_while_its_database_is_away_or_hangs_and_says_what_is_degraded(
    start: StartHolder, postgresql: PostgreSQL
) -> None:
    holder = start()
    healthy = holder.do("ready")
    assert (healthy["status"], healthy["body"]["degraded"]) == (200, [])
    postgresql.pause()
    time.sleep(2.5)  # a probe's result is cached for 2 s
    hung = holder.do("ready")
    assert (hung["status"], hung["body"]["degraded"]) == (200, ["database", "keys"])
    assert hung["seconds"] < 1.5
    assert hung["body"]["configuration_age_seconds"] > 2
    postgresql.resume()
    postgresql.stop()
    # The check that hung finished when the server resumed, and its result is cached for 2 s.
    time.sleep(2.5)
    stopped = holder.do("ready")
    assert (stopped["status"], stopped["body"]["degraded"]) == (200, ["database", "keys"])
    fresh_with_a_copy = start().do("ready")
    assert (fresh_with_a_copy["status"], fresh_with_a_copy["body"]["ready"]) == (200, True)


def test_a_hub_that_can_not_serve_scrapes_is_not_ready(start: StartHolder, postgresql: PostgreSQL) -> None:
    postgresql.sql("DROP TABLE exporters_configurationversion")
    answer = start().do("ready")
    assert answer["status"] == 503
    assert "configuration" in answer["body"]["degraded"]
