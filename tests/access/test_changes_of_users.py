"""Changes of users are recorded: who, when and from where, and that a password was set, but nothing of the password.

Only platform administrators see them.
"""

import io
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core import management

from exporters.management import startup
from exporters.models import Team
from exporters.pages import change_log

from . import people

PASSWORD = "correct horse battery"
NO_MEMBERSHIPS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
WHERE = {"REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return people.make()


def _kept(user: User) -> list[Any]:
    """Return the rows of a user's history after the user's creation, oldest first."""
    return list(User.history.filter(id=user.pk).order_by("history_id"))[1:]  # type: ignore[attr-defined]


def _changes(who: str, **query: str) -> list[change_log.Change]:
    return list(people.client(who).get("/admin/changes/", query).context["page"].object_list)


def _form(user: User, **changed: str) -> dict[str, str]:
    return {"username": user.username, "is_active": "on", **NO_MEMBERSHIPS, **changed}


def test_a_user_who_is_added_changed_and_deleted_in_the_admin_is_in_the_list_of_all_changes(
    objects: dict[str, Any], caplog: Any, django_capture_on_commit_callbacks: Any
) -> None:
    caplog.set_level("INFO")
    admin = people.client("admin")
    twice = {"password1": PASSWORD, "password2": PASSWORD}
    new = {"username": "zoe", "usable_password": "true", **twice, **NO_MEMBERSHIPS}
    with django_capture_on_commit_callbacks(execute=True):
        assert admin.post("/admin/auth/user/add/", new, **WHERE).status_code == 302
        zoe = User.objects.get(username="zoe")
        page = f"/admin/auth/user/{zoe.pk}"
        changed = _form(zoe, is_superuser="on", email="zoe@example.org", first_name="Zoe")
        assert admin.post(f"{page}/change/", changed, **WHERE).status_code == 302
        assert (
            admin.post(f"{page}/change/", {"username": "zoe", **NO_MEMBERSHIPS}, **WHERE).status_code == 302
        )
        assert admin.post(f"{page}/password/", {**twice}, **WHERE).status_code == 302
        assert admin.post(f"{page}/delete/", {"post": "yes"}, **WHERE).status_code == 302
    changes = _changes("admin", kind="user", q="zoe")[::-1]
    assert {(each.who, each.address, each.name) for each in changes} == {("admin", "192.0.2.7", "zoe")}
    told = [
        (each.action, [(one["field"], one["old"], one["new"]) for one in each.fields], each.reason)
        for each in changes
    ]
    given = [
        ("Email address", "", "zoe@example.org"),
        ("First name", "", "Zoe"),
        ("Platform administrator", "no", "yes"),
    ]
    taken = [
        ("Active", "yes", "no"),
        ("Email address", "zoe@example.org", ""),
        ("First name", "Zoe", ""),
        ("Platform administrator", "yes", "no"),
    ]
    assert [(action, sorted(fields), reason) for action, fields, reason in told] == [
        ("Created", [], "password set"),
        ("Changed", given, ""),
        ("Changed", taken, ""),
        ("Changed", [], "password set"),
        ("Deleted", [], ""),
    ]
    lines = [record for record in caplog.records if record.name == "audit" and record.action != "signed in"]
    assert {(line.user, line.address, line.object) for line in lines} == {
        ("admin", "192.0.2.7", f"user {zoe.pk} (zoe)")
    }
    assert [(line.action, line.fields, line.reason) for line in lines] == [
        ("created", "", "password set"),
        ("changed", "email,first_name,is_superuser", ""),
        ("changed", "email,first_name,is_active,is_superuser", ""),
        ("changed", "", "password set"),
        ("deleted", "", ""),
    ]


def test_a_password_that_one_changes_oneself_is_told(objects: dict[str, Any]) -> None:
    viewer = User.objects.get(username="viewer")
    viewer.set_password("the former one 1")
    viewer.save()
    form = {
        "old_password": "the former one 1",
        "new_password1": PASSWORD,
        "new_password2": PASSWORD,
    }
    browser = people.client("viewer")
    assert browser.post("/admin/password_change/", form, **WHERE).status_code == 302
    row = _kept(viewer)[-1]
    assert (row.history_username, row.history_address) == ("viewer", "192.0.2.7")
    assert row.history_change_reason == "password set"


def test_a_password_that_is_taken_away_is_told(objects: dict[str, Any]) -> None:
    viewer = User.objects.get(username="viewer")
    viewer.set_password(PASSWORD)
    viewer.save()
    form = {"usable_password": "false", "unset-password": "on"}
    answer = people.client("admin").post(f"/admin/auth/user/{viewer.pk}/password/", form)
    assert answer.status_code == 302
    assert [row.history_change_reason for row in _kept(viewer)] == ["password set", "password removed"]


def test_neither_a_sign_in_nor_a_hash_in_a_newer_form_is_a_change(
    objects: dict[str, Any], client: Any, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.ScryptPasswordHasher",
    ]
    viewer = User.objects.get(username="viewer")
    viewer.password = make_password(PASSWORD, hasher="scrypt")
    viewer.save()
    assert [row.history_change_reason for row in _kept(viewer)] == ["password set"]
    answer = client.post("/admin/login/", {"username": "viewer", "password": PASSWORD})
    assert answer.status_code == 302
    viewer.refresh_from_db()
    assert viewer.password.startswith("pbkdf2_sha256$")
    assert viewer.last_login is not None
    assert len(_kept(viewer)) == 1


def test_what_commands_and_the_start_do_is_by_the_hub(db: None, settings: Any, monkeypatch: Any) -> None:
    settings.HUB_ADMIN_PASSWORD = "first password 1"
    startup.ensure_administrator()
    settings.HUB_ADMIN_PASSWORD = "second password 2"
    startup.ensure_administrator()
    startup.ensure_administrator()
    monkeypatch.setattr("getpass.getpass", lambda *arguments, **options: "third password 3")
    management.call_command("changepassword", "admin", stdout=io.StringIO())
    rows = list(User.history.order_by("history_id"))  # type: ignore[attr-defined]
    assert [(row.history_username, row.history_type, row.history_change_reason) for row in rows] == [
        ("", "+", "platform administrator, password set"),
        ("", "~", "password set by HUB_ADMIN_PASSWORD"),
        ("", "~", "password set"),
    ]


def test_nothing_of_a_password_is_in_the_history(objects: dict[str, Any]) -> None:
    viewer = User.objects.get(username="viewer")
    viewer.set_password(PASSWORD)
    viewer.save()
    record = User.history.model  # type: ignore[attr-defined]
    kept = {field.name for field in record._meta.get_fields() if not field.name.startswith("history_")}
    assert kept == {"id", "username", "first_name", "last_name", "email", "is_active", "is_superuser"}
    dumped = io.StringIO()
    management.call_command("dumpdata", "exporters.historicaluser", stdout=dumped)
    admin = people.client("admin")
    for text in (
        dumped.getvalue(),
        admin.get("/admin/changes/").text,
        admin.get(f"/admin/auth/user/{viewer.pk}/history/").text,
    ):
        assert "password set" in text
        assert PASSWORD not in text
        for part in viewer.password.split("$")[2:]:  # the salt and the hash
            assert part not in text


def test_a_users_own_page_of_history_names_who_set_the_password(objects: dict[str, Any]) -> None:
    viewer = User.objects.get(username="viewer")
    form = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    people.client("admin").post(f"/admin/auth/user/{viewer.pk}/password/", form, **WHERE)
    text = people.client("admin").get(f"/admin/auth/user/{viewer.pk}/history/").text
    for told in ("password set", "admin", "192.0.2.7"):
        assert told in text


@pytest.mark.parametrize("who", ["viewer", "editor", "owner", "other-owner"])
def test_members_see_no_change_of_a_user(objects: dict[str, Any], who: str) -> None:
    viewer = User.objects.get(username="viewer")
    viewer.email = "somebody@example.org"
    viewer.save()
    assert "user" not in {each.kind for each in _changes(who)}
    browser = people.client(who)
    assert browser.get("/admin/changes/", {"kind": "user"}).context["page"] is None
    everything, admins = _changes(who), _changes(who, user="admin")
    assert all(each in everything for each in admins)
    assert bool(admins) == any(each.who == "admin" for each in everything)
    assert _changes(who, q="somebody@") == []
    assert "somebody@" not in browser.get("/admin/changes/").text
    assert [each.kind for each in _changes("admin", q="somebody@")] == ["user"]


def test_changes_of_users_belong_to_no_team(objects: dict[str, Any]) -> None:
    assert "user" in {each.kind for each in _changes("admin")}
    for team in Team.objects.all():
        shown = _changes("admin", team=str(team.pk))
        assert shown
        assert "user" not in {each.kind for each in shown}
    assert _changes("admin", team=str(objects["team"]), kind="user") == []


def test_nobody_deletes_oneself(objects: dict[str, Any]) -> None:
    admin = User.objects.get(username="admin")
    browser = people.client("admin")
    assert browser.post(f"/admin/auth/user/{admin.pk}/delete/", {"post": "yes"}).status_code == 403
    several = {"action": "delete_selected", "_selected_action": [admin.pk, objects["user"]], "post": "yes"}
    browser.post("/admin/auth/user/", several)
    assert User.objects.filter(pk__in=[admin.pk, objects["user"]]).count() == 2
    assert (
        f"/admin/auth/user/{admin.pk}/delete/" not in browser.get(f"/admin/auth/user/{admin.pk}/change/").text
    )
