"""Last uses are noted immediately and written at most once a minute, and no use is lost to an unavailable database."""

import os
from datetime import datetime

import pytest
from django.db import OperationalError

from exporters.scraping.last_uses import LastUses
from exporters.servicebus import clock


class Written:
    """What was written, and whether the database works. Each entry has the key and the address."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, str | None]] = []
        self.dates: list[datetime] = []
        self.works = True

    def store(self, key: int, at: datetime, address: str | None) -> None:
        if not self.works:
            raise OperationalError
        self.entries.append((key, address))
        self.dates.append(at)


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def uses(written: Written) -> LastUses:
    return LastUses(written.store)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    return now


def test_a_use_is_written_once_a_minute_with_its_last_address(
    uses: LastUses, written: Written, time: list[float]
) -> None:
    assert uses.note(1, "192.0.2.1")
    assert uses.note(1, "192.0.2.2"), "it is not written yet"
    uses.write()
    uses.write()
    assert written.entries == [(1, "192.0.2.2")]
    time[0] += 59
    assert not uses.note(1, "192.0.2.3")
    assert uses.note(2), "each has its own minute"
    uses.write()
    time[0] += 1
    assert uses.note(1, "192.0.2.3")
    uses.write()
    assert written.entries == [(1, "192.0.2.2"), (2, None), (1, "192.0.2.3")]


def test_the_date_is_that_of_the_use(uses: LastUses, written: Written, time: list[float]) -> None:
    uses.note(1)
    uses.write()
    time[0] += 100
    uses.note(2)
    time[0] += 3600
    uses.write()
    assert 3590 < (written.dates[0] - written.dates[1]).total_seconds() < 3610


def test_an_unavailable_database_loses_no_use(uses: LastUses, written: Written, time: list[float]) -> None:
    uses.note(1, "192.0.2.1")
    written.works = False
    with pytest.raises(OperationalError):
        uses.write()
    written.works = True
    uses.write()
    assert written.entries == [(1, "192.0.2.1")]


def test_a_forked_process_leaves_its_parents_uses_to_the_parent(uses: LastUses, written: Written) -> None:
    uses.note(1)
    with uses._lock:  # another thread may hold it during the fork
        child = os.fork()
        if not child:
            uses.write()
            os._exit(len(written.entries))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    uses.write()
    assert written.entries == [(1, None)]
