"""Records of scrapes, written in batches in the background. They never make a scrape fail.

A scrape puts its record into a bounded queue and continues. Every few seconds, a thread of the process writes the
queued records and each namespace's status for the start page. While the database is unavailable, the queue keeps the
newest records and drops the oldest.
"""

import logging
import os
import threading
import time
from collections import deque
from datetime import UTC, datetime

from django.db import Error, connection, transaction
from django.db.models import F, Window
from django.db.models.functions import RowNumber

from ..models import Namespace, NamespaceStatus, Outcome, ScrapeRecord
from ..servicebus.entities import Snapshot
from ..telemetry import internal_errors
from . import last_uses

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
# Writing takes at most this share of a core, so an overloaded hub writes less often, with one status update for several
# scrapes of a namespace.
_WRITING_SHARE = 0.05
_MAX_FLUSH_SECONDS = 30.0
QUEUE_LENGTH = 10_000
RECENT = 40  # recent scrapes in a status
KEPT = 120  # records per namespace
KEPT_FAILURES = 40  # failures per namespace that stay even if there are newer successes
# In flushes: every 5 minutes. Pruning scans all records, 0.3 s for a thousand namespaces; few are added in between.
_PRUNE_EVERY = 150


class Recorder:
    """Takes records from any thread and writes them from its own thread, which starts with the first record."""

    def __init__(self, flush_seconds: float = FLUSH_SECONDS, *, in_background: bool = True) -> None:
        self._flush_seconds = flush_seconds
        self._in_background = in_background  # otherwise only flush() writes
        self._reset()
        os.register_at_fork(after_in_child=self._reset)  # the parent process writes its own records

    def _reset(self) -> None:
        self._queue: deque[ScrapeRecord] = deque(maxlen=QUEUE_LENGTH)
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failing = False
        self._flushes = 0

    def add(self, record: ScrapeRecord) -> None:
        self._queue.append(record)
        self.start()

    def start(self) -> None:
        """Start to write queued records, unless already started."""
        if self._thread is None and self._in_background:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="records", daemon=True)
                    self._thread.start()

    def flush(self) -> None:
        """Write the queued records; if the database fails, put them back and raise its error."""
        with self._writing:
            self._flush()

    def _flush(self) -> None:
        last_uses.tokens.write()
        last_uses.spares.write()
        batch: list[ScrapeRecord] = []
        while self._queue:
            batch.append(self._queue.popleft())
        if not batch:
            return
        try:
            write(batch)
        except Exception:
            for record in batch:
                record.pk = None  # may be set, although the transaction was rolled back
            # extendleft() on a full queue would push out the newest records.
            room = QUEUE_LENGTH - len(self._queue)
            self._queue.extendleft(reversed(batch[len(batch) - min(room, len(batch)) :]))
            raise
        self._flushes += 1
        if self._flushes % _PRUNE_EVERY == 1:
            prune()

    def close(self) -> None:
        """Write the queued records as the process ends; those that can't be written are lost."""
        try:
            self.flush()
        except Exception as error:
            logger.error("Can't write the last scrape records: %s", error)
        finally:
            connection.close()

    def pause_after(self, cpu_seconds: float) -> float:
        """Return the seconds to wait before the next write, after one that took `cpu_seconds` of CPU time."""
        return max(self._flush_seconds, min(_MAX_FLUSH_SECONDS, cpu_seconds / _WRITING_SHARE))

    def _run(self) -> None:
        took = 0.0
        while True:
            self._wake.wait(self.pause_after(took))
            began = time.thread_time()
            try:
                self.flush()
                self._failing = False
            except Exception as error:
                if not self._failing:
                    logger.error("Can't write scrape records (scrapes continue): %s", error)
                self._failing = True
            finally:
                connection.close()
                took = time.thread_time() - began


def write(batch: list[ScrapeRecord]) -> None:
    """Store a batch and update the statuses, in one transaction."""
    with transaction.atomic():
        stored = Namespace.objects.filter(pk__in={record.namespace_id for record in batch})
        there = set(stored.values_list("pk", flat=True))
        known = [record for record in batch if record.namespace_id in there]  # some may have been deleted
        for record in known:
            record.pk = None  # an earlier try that was rolled back may have left one
        ScrapeRecord.objects.bulk_create(known, batch_size=500)
        _update_statuses(known)


def _update_statuses(records: list[ScrapeRecord]) -> None:
    # Ordered by key, so that two replicas that write at the same time wait for each other instead of deadlocking.
    stored = {
        status.namespace_id: status
        for status in NamespaceStatus.objects.select_for_update()
        .filter(namespace_id__in={record.namespace_id for record in records})
        .order_by("namespace_id")
    }
    latest_possible = last_uses.latest_possible()
    for record in records:  # in the order in which this process answered them
        key = record.namespace_id
        status = stored.get(key)
        if status is None:
            status = stored[key] = NamespaceStatus(namespace_id=key, since=record.at, outcome=record.outcome)
        elif record.at < status.at <= latest_possible:
            continue  # another replica has already written a newer one
        if status.outcome != record.outcome:
            status.since = record.at
        for column in NamespaceStatus.OF_THE_SCRAPE:
            setattr(status, column, getattr(record, column))
        status.recent = [*status.recent, [record.outcome[0], round(record.duration_seconds * 1000)]][-RECENT:]
    NamespaceStatus.objects.bulk_create(
        stored.values(),
        update_conflicts=True,
        unique_fields=["namespace"],
        update_fields=[*NamespaceStatus.OF_THE_SCRAPE, "since", "recent"],
        batch_size=200,
    )


def prune() -> None:
    """Keep the newest records of each namespace, and in addition its newest failures."""
    numbered = ScrapeRecord.objects.annotate(
        number=Window(RowNumber(), partition_by=F("namespace_id"), order_by=F("pk").desc())
    ).filter(number__gt=KEPT)
    surplus = set(numbered.values_list("pk", flat=True))
    failures = (
        ScrapeRecord.objects.exclude(outcome=Outcome.SUCCESS)
        .annotate(number=Window(RowNumber(), partition_by=F("namespace_id"), order_by=F("pk").desc()))
        .filter(number__lte=KEPT_FAILURES)
    )
    surplus -= set(failures.values_list("pk", flat=True))
    doomed = sorted(surplus)
    for start in range(0, len(doomed), 500):
        ScrapeRecord.objects.filter(pk__in=doomed[start : start + 500]).delete()


recorder = Recorder()


def outcome(snapshot: Snapshot) -> Outcome:
    """Return how a read ended: complete, partial, or with nothing."""
    if not snapshot.failures:
        return Outcome.SUCCESS
    anything = snapshot.queues or snapshot.topics or snapshot.subscriptions
    return Outcome.PARTIAL if anything else Outcome.FAILURE


def remember(
    namespace_id: int, snapshot: Snapshot, age_seconds: float, allowed_seconds: float, exposition: bytes
) -> None:
    """Queue the record of an answered scrape. Never raises: the scrape matters more than its record."""
    try:
        failure = next(iter(snapshot.failures), None)
        recorder.add(
            ScrapeRecord(
                namespace_id=namespace_id,  # the name may belong to another namespace by the time this is written
                at=datetime.now(UTC),
                outcome=outcome(snapshot),
                reason=str(failure.reason) if failure else "",
                message=failure.message if failure else "",
                duration_seconds=snapshot.duration_seconds,
                allowed_seconds=allowed_seconds,
                age_seconds=age_seconds,
                requests=snapshot.requests,
                throttled_requests=snapshot.throttled_requests,
                series=count_series(exposition),
            )
        )
    except Exception as error:
        internal_errors.report("records", error)


def settle() -> None:
    """Write this process's queued records, so that the next page shows them. After a database error, retry later."""
    try:
        recorder.flush()
    except Error:
        logger.info("Can't write scrape records now; keeping them for later")


def count_series(exposition: bytes) -> int:
    """Return the number of samples in an exposition: its lines that aren't comments."""
    # Counting one byte is several times as fast as counting two, and there are few `#`.
    comments, at = 0, exposition.find(b"#")
    while at >= 0:
        comments += at == 0 or exposition.startswith(b"\n", at - 1)
        at = exposition.find(b"#", at + 1)
    return exposition.count(b"\n") - comments
