"""docs/web-ui.md says what the code does."""

import re
from pathlib import Path

import pytest

from exporters import records, status
from exporters.status import ADVICE, State

TEXT = (Path(__file__).resolve().parent.parent.parent / "docs" / "web-ui.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| ([a-z_ ]+?) \| (.+?) \|$", TEXT, re.MULTILINE))


@pytest.mark.parametrize("state", State)
def test_every_state_is_explained(state: State) -> None:
    assert state in ROWS


@pytest.mark.parametrize("reason", ADVICE)
def test_every_reason_has_the_advice_of_the_pages(reason: str) -> None:
    rows = re.findall(rf"^\| {reason} \| (.+?) \|$", TEXT, re.MULTILINE)
    assert ADVICE[status.Reason(reason)] in rows


def test_what_is_kept_is_what_is_said() -> None:
    assert f"last {records.KEPT} scrapes" in TEXT
    assert f"last {records.KEPT_FAILURES} failures" in TEXT
    assert f"last {records.RECENT} scrapes: one bar" in " ".join(TEXT.split())
    assert records.FLUSH_SECONDS == 2
