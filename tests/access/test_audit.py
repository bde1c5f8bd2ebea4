"""Changes and sign-ins are logged with user and address but without values; histories have the address."""

from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth.models import User

from exporters import hub_yaml
from exporters.models import Credential, Namespace

from . import people


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return people.make()


def test_a_change_in_the_admin_is_a_line_with_user_address_and_fields(
    objects: dict[str, Any], caplog: Any, django_capture_on_commit_callbacks: Any
) -> None:
    action = {"action": "pause", "_selected_action": [objects["namespace"]]}
    with django_capture_on_commit_callbacks(execute=True):
        people.client("editor").post("/admin/exporters/namespace/", action, REMOTE_ADDR="192.0.2.7")
    (line,) = [record for record in caplog.records if record.name == "audit" and record.action == "changed"]
    assert (line.user, line.address, line.fields) == ("editor", "192.0.2.7", "enabled")
    assert line.object == f"namespace {objects['namespace']} (payments-bus)"


def test_an_ipv4_address_is_told_as_one_where_the_socket_takes_both_kinds(objects: dict[str, Any]) -> None:
    action = {"action": "pause", "_selected_action": [objects["namespace"]]}
    people.client("editor").post("/admin/exporters/namespace/", action, REMOTE_ADDR="::ffff:192.0.2.7")
    assert Namespace.history.filter(id=objects["namespace"]).latest().history_address == "192.0.2.7"


def test_a_new_secret_is_told_by_its_fingerprints_name_alone(
    objects: dict[str, Any], caplog: Any, django_capture_on_commit_callbacks: Any
) -> None:
    credential = Credential.objects.get(pk=objects["credential"])
    credential.secret = credential.reveal_secret().replace("SharedAccessKey=", "SharedAccessKey=bmV3")
    credential._change_reason = "apply_config"  # type: ignore[attr-defined]
    with django_capture_on_commit_callbacks(execute=True):
        credential.save()
    line = caplog.records[-1]
    assert (line.user, line.address, line.reason) == ("the hub", "", "apply_config")
    assert line.fields == "secret_fingerprint,secret_set_at"


def test_a_deletion_is_told(
    objects: dict[str, Any], caplog: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        Namespace.objects.get(pk=objects["namespace"]).delete()
    assert [record.action for record in caplog.records if record.name == "audit"][-1] == "deleted"


def test_a_plan_which_changes_nothing_is_not_told(
    db: None, caplog: Any, django_capture_on_commit_callbacks: Any
) -> None:
    caplog.set_level("INFO")
    text = "teams:\n  - name: payments\n"
    with django_capture_on_commit_callbacks(execute=True):
        planned = hub_yaml.plan(text)
    assert len(planned.changes) == 1
    assert [record for record in caplog.records if record.name == "audit"] == []
    with django_capture_on_commit_callbacks(execute=True):
        hub_yaml.apply(planned)
    (line,) = [record for record in caplog.records if record.name == "audit"]
    assert (line.user, line.address, line.reason) == ("the hub", "", "imported from hub.yaml")


def test_the_history_of_an_object_says_from_where_a_change_was_made(
    objects: dict[str, Any], settings: Any
) -> None:
    settings.HUB_TRUSTED_PROXIES = [ip_network("192.0.2.7/32")]
    namespace, action = (
        objects["namespace"],
        {"action": "pause", "_selected_action": [objects["namespace"]]},
    )
    client = people.client("editor")
    where = {"REMOTE_ADDR": "192.0.2.7", "HTTP_X_FORWARDED_FOR": "203.0.113.5, 198.51.100.23"}
    client.post("/admin/exporters/namespace/", action, **where)
    first, last = Namespace.history.filter(id=namespace).order_by("history_id")
    assert (first.history_address, last.history_address) == ("", "198.51.100.23")
    assert "198.51.100.23" in client.get(f"/admin/exporters/namespace/{namespace}/history/").text


@pytest.mark.parametrize("forwarded", ["<script>", "x" * 5000, "unknown", ""])
def test_a_proxys_nonsense_is_no_address(objects: dict[str, Any], settings: Any, forwarded: str) -> None:
    settings.HUB_TRUSTED_PROXIES = [ip_network("192.0.2.7/32")]
    action = {"action": "pause", "_selected_action": [objects["namespace"]]}
    where = {"REMOTE_ADDR": "192.0.2.7", "HTTP_X_FORWARDED_FOR": forwarded}
    people.client("editor").post("/admin/exporters/namespace/", action, **where)
    assert Namespace.history.filter(id=objects["namespace"]).latest().history_address == "192.0.2.7"


def test_sign_ins_are_told_and_a_name_that_nobody_has_is_not_repeated(
    objects: dict[str, Any], client: Any, caplog: Any
) -> None:
    caplog.set_level("INFO")
    user = User.objects.get(username="viewer")
    user.set_password("correct horse battery")
    user.save()
    for name, password in (
        ("viewer", "wrong-Pa55word"),
        ("my-Pa55word-in-the-wrong-box", "x"),
        ("viewer", "correct horse battery"),
    ):
        form = {"username": name, "password": password}
        client.post("/admin/login/", form, REMOTE_ADDR="2001:db8::7")
    lines = [record for record in caplog.records if record.name == "audit"]
    assert [(line.user, line.address, line.action) for line in lines] == [
        ("viewer", "2001:db8::7", "sign-in failed"),
        ("(no such user)", "2001:db8::7", "sign-in failed"),
        ("viewer", "2001:db8::7", "signed in"),
    ]
    assert "Pa55word" not in caplog.text
    assert "battery" not in caplog.text
