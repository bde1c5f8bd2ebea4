"""Two users change one object, at the same time or from an outdated page: neither restores what the other removed."""

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.signals import post_save, pre_save

from exporters.models import Credential, Membership, ScrapeToken, WallLink

from . import people

ADMIN = "/admin"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def objects() -> dict[str, Any]:
    return people.make()


def while_saving(model: type[Any], one: Callable[[], Any], other: Callable[[], Any]) -> None:
    """Do `one`, and do `other` after `one` has read its object and before `one` saves it."""
    if connection.vendor != "postgresql":  # SQLite has one writer at a time
        one()
        other()
        return
    threads: list[threading.Thread] = []
    failures: list[BaseException] = []

    def do_other() -> None:
        try:
            other()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    def begin(**of_signal: Any) -> None:
        if not threads:
            threads.append(threading.Thread(target=do_other))
            threads[0].start()
            threads[0].join(1.0)  # it finishes, or waits for this transaction

    pre_save.connect(begin, sender=model)
    try:
        one()
    finally:
        pre_save.disconnect(begin, sender=model)
    threads[0].join()
    assert failures == []


def edit(who: str, address: str, form: dict[str, Any], **seen: str) -> Any:
    return people.client(who).post(f"{ADMIN}/{address}", form | seen)


@pytest.mark.parametrize(("model", "number"), [(ScrapeToken, "token"), (WallLink, "wall_link")])
def test_what_is_revoked_while_it_is_edited_stays_revoked(
    objects: dict[str, Any], model: type[Any], number: str
) -> None:
    pk, word = objects[number], model._meta.model_name
    ends = {"expires_at_0": "2099-01-01", "expires_at_1": "00:00:00"}
    while_saving(
        model,
        lambda: edit(
            "editor", f"exporters/{word}/{pk}/change/", {"name": "renamed", "scope": "team", **ends}
        ),
        lambda: edit("admin", f"exporters/{word}/", {"action": "revoke", "_selected_action": [pk]}),
    )
    found = model.objects.get(pk=pk)
    assert found.name == "renamed"
    assert found.revoked_at is not None


def test_a_revocation_and_what_tells_of_it_are_stored_at_once(objects: dict[str, Any]) -> None:
    token = ScrapeToken.objects.get(pk=objects["token"])

    def fail(**of_signal: Any) -> None:
        raise ZeroDivisionError

    post_save.connect(fail, sender=ScrapeToken)
    try:
        with pytest.raises(ZeroDivisionError):
            token.revoke("for the test")
    finally:
        post_save.disconnect(fail, sender=ScrapeToken)
    token.refresh_from_db()
    assert token.revoked_at is None
    assert not token.history.filter(history_change_reason="for the test").exists()


def test_a_host_that_is_taken_away_while_the_spare_secret_is_promoted_is_gone(
    objects: dict[str, Any],
) -> None:
    credential = Credential.objects.get(pk=objects["credential"])
    credential.spare_secret = credential.reveal_secret().replace("bm90IGEga2V5", "YW5vdGhlciBrZXk=")
    credential.hosts = ["payments.servicebus.windows.net:8443"]
    credential.save()
    address = f"exporters/credential/{credential.pk}"
    fields = {"name": "payments-key", "team": objects["team"], "kind": "connection_string", "hosts": ""}
    while_saving(
        Credential,
        lambda: edit("owner", f"{address}/spare/", {"do": "promote"}),
        lambda: edit("admin", f"{address}/change/", fields | NO_GRANTS),
    )
    credential.refresh_from_db()
    assert credential.hosts == []
    assert "YW5vdGhlciBrZXk=" in credential.reveal_secret()


NO_GRANTS = {"grants-TOTAL_FORMS": "0", "grants-INITIAL_FORMS": "0"}
NO_MEMBERS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


def begun(who: str, address: str) -> str:
    """Open a change page; return the version of the object that its form contains."""
    page = people.client(who).get(f"{ADMIN}/{address}").text
    return re.findall(r'name="seen" value="([^"]*)"', page)[0]


def test_an_old_page_gives_no_role_back(objects: dict[str, Any]) -> None:
    member = Membership.objects.get(team=objects["team"], role="editor")
    address = f"exporters/membership/{member.pk}/change/"
    form = {"user": member.user.username, "team": objects["team"]}
    seen = begun("owner", address)
    assert edit("owner", address, form | {"role": "viewer"}, seen=seen).status_code == 302
    answer = edit("owner", address, form | {"role": "editor"}, seen=seen)
    assert "someone else has changed this object" in answer.text
    member.refresh_from_db()
    assert member.role == "viewer"
    # Saving a second time is deliberate.
    (again,) = re.findall(r'name="seen" value="([^"]*)"', answer.text)
    assert edit("owner", address, form | {"role": "editor"}, seen=again).status_code == 302


def test_an_old_page_brings_no_host_back(objects: dict[str, Any]) -> None:
    Credential.objects.filter(pk=objects["credential"]).update(hosts=["payments.servicebus.windows.net:8443"])
    address = f"exporters/credential/{objects['credential']}/change/"
    form = {"name": "payments-key", "team": objects["team"], "kind": "connection_string"}
    seen = begun("owner", address)
    assert edit("owner", address, form | {"hosts": ""}, seen=seen).status_code == 302
    old = form | {"hosts": "payments.servicebus.windows.net:8443"}
    assert edit("owner", address, old, seen=seen).status_code == 200
    assert Credential.objects.get(pk=objects["credential"]).hosts == []


def test_an_old_page_makes_nobody_an_administrator_again(objects: dict[str, Any]) -> None:
    user = User.objects.create(username="former", is_superuser=True)
    address = f"auth/user/{user.pk}/change/"
    form = {"username": "former", "is_active": "on", **NO_MEMBERS}
    seen = begun("admin", address)
    assert edit("admin", address, form, seen=seen).status_code == 302
    assert edit("admin", address, form | {"is_superuser": "on"}, seen=seen).status_code == 200
    user.refresh_from_db()
    assert not user.is_superuser


def test_an_old_page_of_a_team_gives_no_member_a_role_back(objects: dict[str, Any]) -> None:
    member = Membership.objects.get(team=objects["team"], role="editor")
    address = f"exporters/team/{objects['team']}/change/"
    seen = begun("admin", address)
    Membership.objects.get(pk=member.pk).delete()
    answer = edit("admin", address, {"name": "payments-team", "description": "x", **NO_MEMBERS}, seen=seen)
    assert "someone else has changed this object" in answer.text
