"""A namespace's own pages: status, entities, exposition, and the actions available there."""

import json
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from exporters.models import LabelRule, Namespace, Team
from exporters.pages import actions, entity_table
from exporters.scraping import last_reading, scrape_records
from exporters.servicebus.entities import Counts, Queue, Snapshot, Subscription
from simulator import SimulatedNamespace
from tests.web.conftest import AddTarget, add_target, hub, team

__all__ = ["add_target", "hub", "team"]


@pytest.fixture
def namespace(add_target: AddTarget, bus: SimulatedNamespace) -> Namespace:
    last_reading.forget()
    return add_target(bus)


@pytest.fixture
def browser(administrator: Any) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


def _path(namespace: Namespace, page: str) -> str:
    return f"/admin/exporters/namespace/{namespace.pk}/{page}/"


def _do(browser: Client, namespace: Namespace, what: str) -> str:
    answer = browser.post(_path(namespace, "status"), {"do": what})
    assert answer.status_code == 302
    return str(list(get_messages(answer.wsgi_request))[-1])


def test_the_status_shows_state_records_and_failures(
    browser: Client, namespace: Namespace, bus: SimulatedNamespace
) -> None:
    actions.scrape_now([namespace])
    bus.faults.set("unauthorized")
    actions.scrape_now([namespace])
    scrape_records.recorder.flush()
    page = browser.get(_path(namespace, "status")).content.decode()
    assert "state-failing" in page
    assert "Durations of the last 2 scrapes" in page
    assert page.count('<rect class="bad"') == 2
    assert '<td data-label="Reason">unauthorized' in page
    assert bus.host in page
    assert "/metrics/payments" in page
    assert bus.key not in page


def test_pause_resume_and_scrape_say_what_they_did(browser: Client, namespace: Namespace) -> None:
    assert _do(browser, namespace, "pause") == "Paused: payments."
    namespace.refresh_from_db()
    assert not namespace.enabled
    assert "paused" in _do(browser, namespace, "scrape")
    assert _do(browser, namespace, "resume") == "Resumed: payments."
    assert _do(browser, namespace, "scrape") == "Scraped: payments."


def test_the_page_after_a_scrape_by_the_button_shows_it(browser: Client, namespace: Namespace) -> None:
    _do(browser, namespace, "scrape")
    page = browser.get(_path(namespace, "status")).content.decode()
    assert "1 scrape, newest on the right" in page
    assert "Never scraped" not in page


def test_clearing_the_cache_forgets_the_last_reading(browser: Client, namespace: Namespace) -> None:
    browser.post(_path(namespace, "entities"))
    assert "team/invoices" in browser.get(_path(namespace, "entities")).content.decode()
    _do(browser, namespace, "clear")
    assert "Not read yet" in browser.get(_path(namespace, "entities")).content.decode()


def test_what_nobody_knows_how_to_do_is_not_found(browser: Client, namespace: Namespace) -> None:
    assert browser.post(_path(namespace, "status"), {"do": "explode"}).status_code == 404


def test_the_test_shows_its_steps_with_and_without_a_script(browser: Client, namespace: Namespace) -> None:
    assert "It works:" in browser.post(_path(namespace, "status"), {"do": "test"}).content.decode()
    answer: Any = browser.post(_path(namespace, "status"), {"do": "test"}, headers={"X-Follow": "1"})
    assert json.loads(list(answer.streaming_content)[-1])["ok"] is True


def test_entities_are_found_sorted_and_counted(
    browser: Client, namespace: Namespace, bus: SimulatedNamespace
) -> None:
    table = browser.post(_path(namespace, "entities")).context["table"]
    assert table.counts == {"queue": 2, "topic": 1, "subscription": 2}
    names = [
        row.name
        for row in browser.get(_path(namespace, "entities"), {"sort": "active"}).context["table"].page
    ]
    assert names[0] == "team/invoices"
    found = browser.get(_path(namespace, "entities"), {"q": "EVENTS", "kind": "subscription"}).context[
        "table"
    ]
    assert [(row.topic, row.name) for row in found.page] == [("events", "audit"), ("events", "billing")]
    nothing = browser.get(_path(namespace, "entities"), {"q": "no such"}).content.decode()
    assert "No entity matches “no such”" in nothing


def test_a_reading_without_entities_says_why_there_are_none(
    browser: Client, namespace: Namespace, bus: SimulatedNamespace
) -> None:
    bus.faults.set("unauthorized")
    failed = browser.post(_path(namespace, "entities"), follow=True).content.decode()
    assert "Nothing could be read" in failed
    assert _path(namespace, "status") in failed.partition("Nothing could be read")[2].partition("</div>")[0]
    bus.faults.clear()
    namespace.include = "no-entity-is-called-so"
    namespace.save()
    left_out = browser.post(_path(namespace, "entities"), follow=True).content.decode()
    assert "No queues or topics" in left_out


def test_entities_above_the_limit_are_mentioned(browser: Client, namespace: Namespace) -> None:
    assert "not shown" not in browser.post(_path(namespace, "entities"), follow=True).content.decode()
    namespace.max_entities = 4
    namespace.save()
    page = browser.post(_path(namespace, "entities"), follow=True).content.decode()
    assert "1 entity is not shown: the namespace has more than its limit of 4." in page


def test_the_exposition_is_prometheuss_and_can_be_had_whole(
    browser: Client, namespace: Namespace, team: Team
) -> None:
    LabelRule.objects.create(
        team=team, source_labels=["name"], regex="([a-z]+)/.*", target_label="domain", position=1
    )
    page = browser.post(_path(namespace, "exposition")).content.decode()
    assert "domain=&quot;team&quot;" in page
    raw = browser.get(_path(namespace, "exposition"), {"raw": "1"})
    assert raw["Content-Type"] == "text/plain; charset=utf-8"
    assert b"servicebus_up 1.0" in raw.content


def test_the_worst_come_first() -> None:
    def queue(name: str, **fields: Any) -> Queue:
        counts = Counts(fields.pop("active", 0), fields.pop("dead", 0), 0, 0, 0)
        return Queue(name, counts=counts, **{"status": "active", **fields})

    snapshot = Snapshot(
        queues=(
            queue("busy", active=900),
            queue("dead", dead=3),
            queue("full", size_bytes=95, max_size_bytes=100),
            queue("closed", status="receive_disabled"),
            Queue("unknown"),
        ),
        subscriptions=(Subscription("t", "s", counts=Counts(0, 7, 0, 0, 0)),),
    )
    rows = list(entity_table.table(snapshot).page)
    assert [row.name for row in rows] == ["closed", "full", "s", "dead", "busy", "unknown"]
    assert rows[0].unusual_status == "receive disabled"
    assert rows[-1].active is None


def test_many_entities_come_in_pages() -> None:
    snapshot = Snapshot(queues=tuple(Queue(f"q{number:03}") for number in range(250)))
    last = entity_table.table(snapshot, sort="name", page="99").page
    assert (last.number, last.paginator.num_pages, last.paginator.count) == (3, 3, 250)
    assert [row.name for row in last][-1] == "q249"
