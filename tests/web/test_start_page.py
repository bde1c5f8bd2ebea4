"""The start page: all targets that the user may see, worst first, each with its problem and what to do about it."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from exporters.models import Membership, Namespace, NamespaceStatus, Team
from exporters.pages import dashboard
from exporters.scraping.state import State

Make = Any


@pytest.fixture
def make(db: None) -> Make:
    def make(name: str, team: str = "payments", scraped: float | None = 5, **fields: Any) -> Namespace:
        """Store a namespace that was last scraped `scraped` seconds ago."""
        enabled = fields.pop("enabled", True)
        namespace = Namespace.objects.create(
            name=name, team=Team.objects.get_or_create(name=team)[0], enabled=enabled
        )
        if scraped is not None:
            at = timezone.now() - timedelta(seconds=scraped)
            values = {
                "outcome": "success",
                "duration_seconds": 2.0,
                "allowed_seconds": 8.0,
                "series": 12345,
                "since": at,
                "recent": [["s", 1900], ["s", 2000]],
            }
            NamespaceStatus.objects.create(namespace=namespace, at=at, **values | fields)
        return namespace

    return make


@pytest.fixture
def one_of_each(make: Make) -> None:
    make("a-up")
    make("b-paused", enabled=False)
    make("c-never", scraped=None)
    make("d-stale", scraped=3600)
    make("e-throttled", throttled_requests=4)
    make("f-failing", outcome="failure", reason="unauthorized", message="The key was refused.")


@pytest.fixture
def administrator(client: Client, django_user_model: Any) -> Client:
    client.force_login(django_user_model.objects.create_superuser("root", "", "pass-pass-pass"))
    return client


def _names(client: Client, address: str = "/admin/") -> list[str]:
    return [row.namespace.name for row in client.get(address).context["board"].rows]


def test_the_worst_comes_first(administrator: Client, one_of_each: None) -> None:
    assert _names(administrator) == ["f-failing", "e-throttled", "d-stale", "c-never", "a-up", "b-paused"]


def test_states_are_said_in_words_and_counted(administrator: Client, one_of_each: None, make: Make) -> None:
    make("g-failing", outcome="partial", reason="timeout")
    html = administrator.get("/admin/").content.decode()
    for state, count in {
        "failing": 2,
        "throttled": 1,
        "stale": 1,
        "never scraped": 1,
        "up": 1,
        "paused": 1,
    }.items():
        assert f">{state} {count}</a>" in html
        assert f">{state}</span>" in html
    assert ">all 7</a>" in html


def test_a_failure_stands_in_its_row_with_what_to_do(administrator: Client, one_of_each: None) -> None:
    html = administrator.get("/admin/").content.decode()
    assert "The key was refused." in html
    assert "Enter a valid key with the Manage right" in html
    assert "Service Bus throttled 4 requests" in html
    assert "open Status &gt; Targets" in html


def test_a_row_has_duration_series_and_a_picture(administrator: Client, make: Make) -> None:
    make("payments-prod")
    html = administrator.get("/admin/").content.decode()
    assert "12,345" in html
    assert "25% of the time allowed" in html
    assert "Last 2 scrapes: all complete" in html
    assert re.search(r'<time datetime="[^"]+" title="[^"]+ UTC">\d+ s ago</time>', html)


def test_a_message_is_text_and_no_markup(administrator: Client, make: Make) -> None:
    make("payments-prod", outcome="failure", reason="dns", message="<script>alert(1)</script>")
    html = administrator.get("/admin/").content.decode()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?state=failing", ["f-failing"]),
        ("?state=never+scraped", ["c-never"]),
        ("?q=stale", ["d-stale"]),
        ("?q=PAYMENTS&state=up", ["a-up"]),
        ("?q=nothing", []),
        ("?state=nonsense&page=x", ["f-failing", "e-throttled", "d-stale", "c-never", "a-up", "b-paused"]),
    ],
)
def test_targets_are_found_by_state_and_by_words(
    administrator: Client, one_of_each: None, query: str, names: list[str]
) -> None:
    assert _names(administrator, "/admin/" + query) == names


def test_pages_are_turned_and_the_counts_are_of_all(
    administrator: Client, one_of_each: None, monkeypatch: Any
) -> None:
    monkeypatch.setattr(dashboard.board, "__kwdefaults__", {**dashboard.board.__kwdefaults__, "page_size": 4})
    assert _names(administrator, "/admin/?page=2") == ["a-up", "b-paused"]
    assert _names(administrator, "/admin/?page=99") == ["a-up", "b-paused"]
    assert administrator.get("/admin/?page=2").context["board"].total == 6


def test_a_user_sees_the_targets_of_the_own_teams_alone(
    client: Client, make: Make, django_user_model: Any
) -> None:
    make("payments-prod")
    make("orders-prod", team="orders")
    user = django_user_model.objects.create_user("viewer", password="pass-pass-pass", is_staff=True)
    Membership.objects.create(user=user, team=Team.objects.get(name="orders"), role="viewer")
    client.force_login(user)
    html = client.get("/admin/").content.decode()
    assert "orders-prod" in html
    assert "payments" not in html
    assert "payments-prod" not in client.get("/admin/?q=payments").content.decode()


def test_an_empty_hub_says_what_to_do(administrator: Client) -> None:
    html = administrator.get("/admin/").content.decode()
    assert "No namespaces yet" in html
    assert "/admin/exporters/namespace/new/" in html


def test_a_viewer_of_an_empty_team_is_told_who_can_add_one(
    client: Client, make: Make, django_user_model: Any
) -> None:
    make("payments-prod")
    viewer = django_user_model.objects.create_user("viewer", password="pass-pass-pass")
    Membership.objects.create(user=viewer, team=Team.objects.create(name="new"), role="viewer")
    client.force_login(viewer)
    html = client.get("/admin/").content.decode()
    assert "An editor or owner of your team can add one." in html
    assert "/admin/exporters/namespace/new/" not in html


def test_the_number_of_queries_does_not_grow_with_the_targets(administrator: Client, make: Make) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            administrator.get("/admin/")
        return len(captured)

    make("first", outcome="failure", reason="dns")
    few = queries()
    for number in range(40):
        make(f"another-{number}", team=f"team-{number % 8}", scraped=None if number % 3 else 5)
    assert queries() == few


def test_a_target_with_an_interval_of_its_own_is_stale_after_five_of_them(make: Make) -> None:
    namespace = make("slow", scraped=1000)
    namespace.scrape_interval_seconds = 300
    namespace.save()
    board = dashboard.board(Namespace.objects.all(), timezone.now())
    assert board.rows[0].state is State.UP
    later: datetime = timezone.now() + timedelta(seconds=600)
    assert dashboard.board(Namespace.objects.all(), later).rows[0].state is State.STALE
