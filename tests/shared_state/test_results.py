"""A result is unchanged after passing through the store that scrapes share."""

import zlib
from typing import Any

import msgspec
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
    shape, allowed, snapshot = msgspec.msgpack.decode(body)
    assert decode(zlib.compress(msgspec.msgpack.encode([shape, allowed, snapshot])), 1e9) is not None
    for other in (
        b"",
        b"not compressed",
        zlib.compress(b"not MessagePack"),
        *(
            zlib.compress(msgspec.msgpack.encode(document))
            for document in (
                [],
                {},
                ["0" + shape[1:], allowed, snapshot],
                [shape, allowed],
                [shape, allowed, {**snapshot, "queues": 5}],
                [shape, allowed, {**snapshot, "queues": [["orders", 1]]}],
                [shape, allowed, {**snapshot, "queues": [["orders", "active", [1, 2, 3, 4]]]}],
                [shape, allowed, {**snapshot, "collectors": {"queues": ["no reason", "late"]}}],
            )
        ),
        zlib.compress(body[:-1]),
        zlib.compress(body + b"\0"),
        zlib.compress(body.replace(b"orders", b"order\xff")),
        zlib.compress(msgspec.msgpack.encode([shape, allowed, {}])[:-1] + b"\x81\xa1z" + b"\x91" * 100_000),
    ):
        assert decode(other, 1e9) is None


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damage_never_fails_a_scrape(noise: bytes, at: int) -> None:
    body = zlib.decompress(encode(Stored(9.5, 1e9, Snapshot(queues=(Queue("orders"),)))))
    decode(zlib.compress(body[:at] + noise + body[at + len(noise) :]), 1e9)


def test_a_large_reading_is_small() -> None:
    many = tuple(
        Queue(f"queue-{number}", "active", counts=Counts(number, 0, 0, 0, 0), messages=number)
        for number in range(1000)
    )
    assert len(encode(Stored(9.5, 1e9, Snapshot(queues=many)))) < 30_000


def test_names_in_other_scripts_take_no_more_than_their_bytes() -> None:
    stored = Stored(9.5, 1e9, Snapshot(queues=(Queue("😀" * 500),)))
    assert len(zlib.decompress(encode(stored))) < 4 * 500 + 1000
    assert decode(encode(stored), 1e9) == stored
