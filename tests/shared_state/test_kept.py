"""The decoded results that a process keeps are bounded by their number of entities."""

import pytest

from exporters.scraping import result_cache as kept_module
from exporters.scraping.result_cache import KeptResults
from exporters.scraping.results import Stored
from exporters.servicebus import clock
from exporters.servicebus.entities import Queue, Snapshot


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> KeptResults:
    monkeypatch.setattr(kept_module, "MAX_DECODED_ENTITIES", 1000)
    return KeptResults()


def stored(queues: int) -> Stored:
    entities = tuple(Queue(f"queue-{number}") for number in range(queues))
    return Stored(10, clock.now(), Snapshot(queues=entities, began_at=clock.now()))


def is_decoded(results: KeptResults, key: str) -> bool:
    """Return whether two look-ups find the same object."""
    return results.get(key) is results.get(key)


def test_what_was_decoded_first_makes_place_for_more_and_is_found_all_the_same(results: KeptResults) -> None:
    for key in ("aa", "bb", "cc"):
        results.put(key, stored(400))
    assert list(results._decoded) == ["bb", "cc"]
    found = results.get("aa")
    assert found is not None
    assert len(found.snapshot.queues) == 400
    assert list(results._decoded) == ["cc", "aa"]


def test_a_result_above_the_limit_is_decoded_each_time_and_takes_no_place(results: KeptResults) -> None:
    results.put("aa", stored(1001))
    assert not is_decoded(results, "aa")
    found = results.get("aa")
    assert found is not None
    assert len(found.snapshot.queues) == 1001
    results.put("bb", stored(1000))
    assert is_decoded(results, "bb")


def test_small_results_are_bounded_too_and_a_new_one_of_a_key_takes_the_place_of_the_former(
    results: KeptResults,
) -> None:
    for _ in range(50):
        results.put("aa", stored(900))
    assert is_decoded(results, "aa")
    for number in range(50):
        results.put(f"{number:x}", stored(0))
    assert len(results._decoded) == 10
    for number in range(50):
        results.forget(f"{number:x}")
    assert results._decoded_entities == 0


def test_a_result_that_another_process_has_replaced_is_not_served(results: KeptResults) -> None:
    results.put("aa", stored(1))
    KeptResults().put("aa", stored(2))
    found = results.get("aa")
    assert found is not None
    assert len(found.snapshot.queues) == 2
    KeptResults().forget("aa")
    assert results.get("aa") is None


def test_a_result_above_the_limit_displaces_no_other(results: KeptResults) -> None:
    results.put("aa", stored(400))
    results.put("bb", stored(1001))
    assert list(results._decoded) == ["aa"]
