"""A reading is unchanged after passing through the store that scrapes share."""

import zlib
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporters.scraping.results import Stored, decode, encode
from exporters.servicebus.entities import (
    Counts,
    Failure,
    NamespaceInfo,
    Queue,
    Snapshot,
    Subscription,
    Topic,
)
from exporters.servicebus.errors import Reason

numbers = st.integers(0, 2**62)
texts = st.text(max_size=20)
times = st.none() | st.floats(0, 4e9)
# Differences of these are exact.
moments = st.integers(-(2**40), 2**40).map(lambda number: number / 1024)
counts = st.none() | st.builds(Counts, numbers, numbers, numbers, numbers, numbers)
queues = st.builds(
    Queue, texts, st.none() | texts, counts, created=times, requires_session=st.none() | st.booleans()
)
topics = st.builds(Topic, texts, counts=counts, subscription_count=st.none() | numbers)
subscriptions = st.builds(Subscription, texts, texts, counts=counts, user_metadata=st.none() | texts)
snapshots = st.builds(
    Snapshot,
    queues=st.lists(queues, max_size=4).map(tuple),
    topics=st.lists(topics, max_size=4).map(tuple),
    subscriptions=st.lists(subscriptions, max_size=4).map(tuple),
    info=st.none() | st.builds(NamespaceInfo, texts, st.none() | texts, st.none() | numbers),
    collectors=st.dictionaries(
        texts, st.none() | st.builds(Failure, st.sampled_from(Reason), texts), max_size=4
    ),
    dropped=st.dictionaries(texts, numbers, max_size=3),
    requests=numbers,
    read_at=st.floats(0, 4e9),
    began_at=moments,
    topics_read_at=st.dictionaries(texts, moments, max_size=3),
    topics_unread=st.frozensets(texts, max_size=3),
    budget_requests_per_second=st.none() | st.floats(0, 1e4),
)


@given(snapshots)
def test_what_comes_out_is_what_went_in(snapshot: Any) -> None:
    stored = Stored(9.5, 1e9, snapshot)
    assert decode(encode(stored), 1e9) == stored
    # On a machine with another clock, the times keep their distance.
    elsewhere = decode(encode(stored), 5.0)
    assert elsewhere is not None
    assert elsewhere.finished_at - elsewhere.snapshot.began_at == 1e9 - snapshot.began_at


def test_what_another_version_or_anybody_else_has_written_is_not_used() -> None:
    body = zlib.decompress(encode(Stored(9.5, 1e9, Snapshot(queues=(Queue("orders"),)))))
    for other in (
        b"",
        b"not compressed",
        zlib.compress(b"not JSON"),
        zlib.compress(b"[]"),
        zlib.compress(b"{}"),
        zlib.compress(body.replace(b'"shape":"', b'"shape":"0')),
        zlib.compress(body.replace(b'"queues":', b'"queue":')),
        zlib.compress(body.replace(b'["orders"', b'["orders",1,2,3,4,5')),
    ):
        assert decode(other, 1e9) is None


def test_a_large_reading_is_small() -> None:
    many = tuple(
        replace(Queue(f"queue-{number}", "active"), counts=Counts(number, 0, 0, 0, 0), messages=number)
        for number in range(1000)
    )
    assert len(encode(Stored(9.5, 1e9, Snapshot(queues=many)))) < 30_000


def test_names_in_other_scripts_take_no_more_than_their_bytes() -> None:
    stored = Stored(9.5, 1e9, Snapshot(queues=(Queue("😀" * 500),)))
    assert len(zlib.decompress(encode(stored))) < 4 * 500 + 1000
    assert decode(encode(stored), 1e9) == stored
