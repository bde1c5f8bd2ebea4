"""Changes are lines in the log, with who made them and from where, and without values."""

from typing import Any

import pytest

from exporters.models import Credential, Namespace

from . import people


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return people.make()


def test_a_change_in_the_admin_is_a_line_with_user_address_and_fields(
    objects: dict[str, Any], caplog: Any
) -> None:
    action = {"action": "pause", "_selected_action": [objects["namespace"]]}
    people.client("editor").post("/admin/exporters/namespace/", action, REMOTE_ADDR="192.0.2.7")
    (line,) = [record for record in caplog.records if record.name == "audit" and record.action == "changed"]
    assert (line.user, line.address, line.fields) == ("editor", "192.0.2.7", "enabled")
    assert line.object == f"namespace {objects['namespace']} (payments-bus)"


def test_a_new_secret_is_told_by_its_fingerprints_name_alone(objects: dict[str, Any], caplog: Any) -> None:
    credential = Credential.objects.get(pk=objects["credential"])
    credential.secret = credential.reveal_secret().replace("SharedAccessKey=", "SharedAccessKey=bmV3")
    credential._change_reason = "apply_config"  # type: ignore[attr-defined]
    credential.save()
    line = caplog.records[-1]
    assert (line.user, line.address, line.reason) == ("the hub", "", "apply_config")
    assert line.fields == "secret_fingerprint,secret_set_at"


def test_a_deletion_is_told(objects: dict[str, Any], caplog: Any) -> None:
    Namespace.objects.get(pk=objects["namespace"]).delete()
    assert [record.action for record in caplog.records if record.name == "audit"][-1] == "deleted"
