"""docs/web-ui.md matches the code."""

import re
from pathlib import Path

import pytest

from exporters.scraping import scrape_records
from exporters.scraping.advice import ADVICE
from exporters.scraping.state import State
from exporters.servicebus.errors import Reason
from tests.browser.screenshots import shown_in_docs

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "docs" / "web-ui.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| ([a-z_ ]+?) \| (.+?) \|$", TEXT, re.MULTILINE))


@pytest.mark.parametrize("state", State)
def test_every_state_is_explained(state: State) -> None:
    assert state in ROWS


@pytest.mark.parametrize("reason", ADVICE)
def test_every_reason_has_the_advice_of_the_pages(reason: str) -> None:
    rows = re.findall(rf"^\| {reason} \| (.+?) \|$", TEXT, re.MULTILINE)
    assert ADVICE[Reason(reason)] in rows


def test_docs_images_has_exactly_the_pictures_that_a_document_shows() -> None:
    assert shown_in_docs() == set((ROOT / "docs" / "images").iterdir())


def test_what_is_kept_is_what_is_said() -> None:
    assert f"last {scrape_records.KEPT} scrapes" in TEXT
    assert f"last {scrape_records.KEPT_FAILURES} failures" in TEXT
    assert f"last {scrape_records.RECENT} scrapes: one bar" in " ".join(TEXT.split())
