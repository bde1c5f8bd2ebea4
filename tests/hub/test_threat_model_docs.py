"""docs/threat-model.md names the test or code behind each defence, and these must exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_every_test_and_page_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"(?:tests|docs|exporters|hub)/[\w./-]*[\w/]", MODEL))
    assert len(named) > 10
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []
