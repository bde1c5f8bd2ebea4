"""The wall page: a secret address that shows names and states without a sign-in."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from exporters.models import Membership, Namespace, NamespaceStatus, Team, WallLink


@pytest.fixture
def targets(db: None) -> None:
    for team in ("payments", "orders"):
        namespace = Namespace.objects.create(
            name=f"{team}-prod", team=Team.objects.create(name=team), host=f"{team}-secret-host.example"
        )
        now = timezone.now()
        NamespaceStatus.objects.create(
            namespace=namespace,
            at=now,
            since=now,
            outcome="failure",
            reason="dns",
            message="secret-host.example is unknown",
            duration_seconds=1,
            allowed_seconds=9.5,
        )


def _link(team: str | None = None, **fields: Any) -> str:
    token = WallLink.generate()
    link = WallLink(name="office", scope="team" if team else "all_teams", **fields)
    link.team = Team.objects.get(name=team) if team else None
    link.set_token(token)
    link.save()
    return f"/wall/{token}"


def test_the_wall_shows_a_teams_targets_and_their_states(client: Client, targets: None) -> None:
    html = client.get(_link("payments")).content.decode()
    assert "payments-prod" in html
    assert "failing: dns" in html
    assert "orders" not in html


def test_a_link_of_no_team_shows_all(client: Client, targets: None) -> None:
    html = client.get(_link()).content.decode()
    assert "payments-prod" in html
    assert "orders-prod" in html


def test_hosts_and_messages_are_not_for_whoever_walks_by(client: Client, targets: None) -> None:
    assert "secret-host" not in client.get(_link()).content.decode()


def test_the_wall_has_no_session_and_is_kept_by_nobody(client: Client, targets: None) -> None:
    answer = client.get(_link())
    assert not answer.cookies
    assert answer["Cache-Control"] == "no-store"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert 'href="/admin/' not in answer.content.decode()


@pytest.mark.parametrize("token", ["sbw_wrong", "x", "sbw_" + "a" * 500])
def test_a_wrong_token_finds_nothing(client: Client, targets: None, token: str) -> None:
    assert client.get(f"/wall/{token}").status_code == 404


def test_a_link_ends_when_it_expires(client: Client, targets: None) -> None:
    assert client.get(_link(expires_at=timezone.now() - timedelta(seconds=1))).status_code == 404


def test_a_link_ends_when_it_is_revoked_in_the_list(
    client: Client, targets: None, django_user_model: Any
) -> None:
    address = _link("payments")
    browser = Client()
    browser.force_login(django_user_model.objects.create_superuser("root", "", "pass-pass-pass"))
    action = {"action": "revoke", "_selected_action": [WallLink.objects.get().pk]}
    html = browser.post("/admin/exporters/walllink/", action, follow=True).content.decode()
    assert "Revoked: office." in html
    assert client.get(address).status_code == 404


def test_the_address_is_shown_once_and_only_its_hash_is_kept(
    client: Client, targets: None, django_user_model: Any
) -> None:
    client.force_login(django_user_model.objects.create_superuser("root", "", "pass-pass-pass"))
    values = {"name": "office", "scope": "all_teams", "expires_at_0": "2090-01-01", "expires_at_1": "12:00"}
    answer = client.post("/admin/exporters/walllink/add/", values)
    token = answer.context["path"].rpartition("/")[2]
    assert "no-store" in answer["Cache-Control"]
    assert Client().get(f"/wall/{token}").status_code == 200
    link = WallLink.objects.get()
    assert token not in str(vars(link))
    assert token not in client.get(f"/admin/exporters/walllink/{link.pk}/change/").content.decode()


def test_a_link_is_not_made_for_a_time_that_is_over(
    client: Client, targets: None, django_user_model: Any
) -> None:
    client.force_login(django_user_model.objects.create_superuser("root", "", "pass-pass-pass"))
    values = {"name": "office", "scope": "all_teams", "expires_at_0": "2020-01-01", "expires_at_1": "12:00"}
    html = client.post("/admin/exporters/walllink/add/", values).content.decode()
    assert "This time is in the past." in html


def test_an_editor_makes_links_for_the_own_team_alone(
    client: Client, targets: None, django_user_model: Any
) -> None:
    user = django_user_model.objects.create_user("editor", password="pass-pass-pass", is_staff=True)
    Membership.objects.create(user=user, team=Team.objects.get(name="payments"), role="editor")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    values = {"name": "office", "scope": "all_teams", "expires_at_0": "2090-01-01", "expires_at_1": "12:00"}
    answer = client.post("/admin/exporters/walllink/add/", values)
    assert set(answer.context["adminform"].form.errors) == {"team", "scope"}
    assert not WallLink.objects.exists()


def test_what_moves_to_another_team_while_the_page_is_made_is_not_on_it(
    client: Client, targets: None
) -> None:
    address = _link("payments")
    moved: list[int] = []

    def move(execute: Any, sql: str, *arguments: Any) -> Any:
        found = execute(sql, *arguments)
        if "namespacestatus" in sql and not moved:
            moved.append(1)
            namespace = Namespace.objects.get(name="payments-prod")
            Namespace.objects.filter(pk=namespace.pk).update(
                name="orders-new", team=Team.objects.get(name="orders")
            )
        return found

    with connection.execute_wrapper(move):
        html = client.get(address).content.decode()
    assert moved
    assert "orders-new" not in html
