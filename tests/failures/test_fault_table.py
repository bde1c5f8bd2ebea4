"""The failure matrix: every fault, through the whole hub and as a real Prometheus sees it."""

import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporters.servicebus.errors import Reason
from tests.support.prometheus import Prometheus
from tests.support.servers import wait_for

from . import fault_table
from .conftest import TOKEN, Scene
from .fault_table import ROWS, Row

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("failures")]

DOCS = Path(__file__).resolve().parents[2] / "docs" / "failures.md"
# Prometheus's timeout in these tests. The response must arrive before it, whatever fails.
TIMEOUT_SECONDS = 20


def ask(scene: Scene, row: Row) -> tuple[str, float]:
    """Scrape as Prometheus does; return the body and the time in seconds."""
    request = urllib.request.Request(
        f"http://{scene.hub.address}/metrics/{row.name}",
        headers={
            "Authorization": f"Bearer {TOKEN}",
            "X-Prometheus-Scrape-Timeout-Seconds": str(TIMEOUT_SECONDS),
        },
    )
    started = time.monotonic()
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode(), time.monotonic() - started


def read(body: str) -> dict[str, Any]:
    """Return the parts of an exposition that the tests check."""
    found: dict[str, Any] = {"reasons": set(), "entities": set()}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            if sample.name == "servicebus_up":
                found["up"] = sample.value
            elif sample.name == "servicebus_scrape_error":
                found["reasons"].add(sample.labels["reason"])
            elif sample.name in {"servicebus_queue_max_size_bytes", "servicebus_topic_max_size_bytes"}:
                found["entities"].add(sample.labels["name"])
            elif sample.name == "servicebus_subscription_status":
                found["entities"].add(f"{sample.labels['topic_name']}/{sample.labels['name']}")
    return found


@pytest.fixture(scope="module")
def answers(scene: Scene) -> dict[str, tuple[str, float]]:
    """Scrape all rows at once, so that each runs alongside all the others."""
    with ThreadPoolExecutor(len(ROWS)) as pool:
        return dict(zip([row.name for row in ROWS], pool.map(lambda row: ask(scene, row), ROWS), strict=True))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_fault_has_its_reason_in_time_and_hides_nothing_that_was_read(
    row: Row, answers: dict[str, tuple[str, float]]
) -> None:
    body, seconds = answers[row.name]
    found = read(body)
    assert found["reasons"] == ({row.reason} if row.reason else set())
    assert found["up"] == (0 if row.reason else 1)
    assert seconds < TIMEOUT_SECONDS
    match row.name:
        case "topic-gone":
            assert found["entities"] == {"orders", "news", "news/all"}
        case "only-subscriptions" | "trickle":
            assert {"orders", "news", "events"} <= found["entities"]
        case "odd-count":
            assert found["entities"] == {"orders"}
        case "no-counts":
            assert found["entities"] == {"orders", "events", "news", "events/billing", "news/all"}
            assert "_active_messages{" not in body
        case "recreated":
            assert {"events", "news", "events/billing", "news/all"} < found["entities"]
        case "no-budget":
            assert found["entities"] <= {"orders", "news", "events"}
        case _:
            assert found["entities"] == set()


def test_the_log_says_once_what_is_wrong_and_no_secret(
    scene: Scene, answers: dict[str, tuple[str, float]]
) -> None:
    for row in ROWS:  # scraped again: nothing has changed, so nothing is logged
        if row.reason and row.reason not in {"timeout", "budget"}:
            ask(scene, row)
    lines = [json.loads(line) for line in scene.hub.log.read_text().splitlines() if line.startswith("{")]
    other_texts = {}
    for row in ROWS:
        said = [line["message"] for line in lines if f"Scrapes of {row.name} fail: " in line["message"]]
        if row.reason:
            assert said, f"nothing of {row.name}"
            assert len(said) <= 2, "once for each worker process"
            if not all(row.log in message for message in said):
                other_texts[row.name] = (row.log, said)
            assert [message for message in said if f"{row.reason}: " not in message] == []
        else:
            assert not said
    assert other_texts == {}
    log = scene.hub.log.read_text()
    for bus in scene.simulator.namespaces.values():
        assert bus.key not in log
    assert "<feed" not in log
    assert "Traceback" not in log


def test_prometheus_gets_an_answer_in_time_for_every_fault(scene: Scene) -> None:
    names = [row.name for row in ROWS]
    with Prometheus(scene.hub.address, names, TOKEN, interval_seconds=TIMEOUT_SECONDS) as prometheus:

        def targets() -> list[dict[str, Any]]:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{prometheus.port}/api/v1/targets", timeout=30
            ) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["activeTargets"]
            return found

        wait_for(
            lambda: (
                len(targets()) == len(names) and all(target["health"] != "unknown" for target in targets())
            ),
            "all scraped",
            seconds=180,
        )
        assert [
            (target["labels"]["servicebus_namespace"], target["lastError"])
            for target in targets()
            if target["health"] != "up"
        ] == []
        # The results of each target's last scrape.
        up = {
            each["metric"]["servicebus_namespace"]: each["value"][1]
            for each in prometheus.query("servicebus_up")
        }
        assert up == {row.name: "0" if row.reason else "1" for row in ROWS}
        reasons = {
            each["metric"]["servicebus_namespace"]: each["metric"]["reason"]
            for each in prometheus.query("servicebus_scrape_error == 1")
        }
        assert reasons == {row.name: row.reason for row in ROWS if row.reason}
        assert "context deadline exceeded" not in prometheus.log.read_text()


def test_every_reason_has_a_row() -> None:
    # No external fault causes an internal error, which is a bug in the hub.
    reasons = {str(reason) for reason in Reason} - {Reason.INTERNAL}
    assert {row.reason for row in (*ROWS, fault_table.OVERLOADED)} - {""} == reasons


def test_the_documentation_holds_the_matrix() -> None:
    assert fault_table.table() in DOCS.read_text()
