"""manage.py apply_config."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from exporters.models import Namespace, Team

pytestmark = pytest.mark.django_db


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("apply_config", *arguments, stdout=out, stderr=out, **options)
    return out.getvalue()


def test_a_dry_run_prints_the_difference_and_changes_nothing(whole: str, tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text(whole)
    out = run(str(tmp_path / "hub.yaml"), dry_run=True)
    assert "+ namespace payments-prod\n" in out
    assert "    limits.concurrency: 8\n" in out
    assert out.endswith("11 objects would change.\n")
    assert not Team.objects.exists()
    assert run(str(tmp_path / "hub.yaml")).endswith("11 objects changed.\n")
    assert run(str(tmp_path / "hub.yaml")).endswith("Nothing to change.\n")


def test_the_commands_error_lists_everything_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "hub.yaml"
    file.write_text("teams:\n  - name: Payments\n  - nam: x\n")
    with pytest.raises(CommandError) as caught:
        run(str(file))
    assert str(caught.value).splitlines() == [
        "Nothing was changed.",
        f"{file}:2:11: teams[0].name: Use lowercase letters, digits and hyphens, starting and ending with a letter "
        f"or digit.",
        f"{file}:3:5: teams[1].nam: Unknown key “nam”. Did you mean “name”?",
    ]


def test_without_a_name_the_command_takes_the_file_of_the_settings(
    whole: str, tmp_path: Path, settings: Any
) -> None:
    settings.HUB_CONFIG = str(tmp_path / "hub.yaml")
    (tmp_path / "hub.yaml").write_text(whole)
    run()
    assert Team.objects.exists()
    settings.HUB_CONFIG = None
    with pytest.raises(CommandError, match="set HUB_CONFIG"):
        run()


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nowhere\.yaml can't be read: No such file"):
        run(str(tmp_path / "nowhere.yaml"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CommandError, match="is not UTF-8 text"):
        run(str(tmp_path / "binary"))


def test_into_empty_leaves_a_hub_in_use_alone(whole: str, tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text(whole)
    Team.objects.create(name="others")
    assert "already in use" in run(str(tmp_path / "hub.yaml"), into_empty=True)
    assert not Namespace.objects.exists()
