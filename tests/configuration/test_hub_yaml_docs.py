"""docs/hub-yaml.md lists every key of hub.yaml, and no others."""

import re
from pathlib import Path

import pytest

from exporters.hub_yaml.schema import KINDS, Kind

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "hub-yaml.md"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.section)
def test_the_document_has_exactly_the_keys_of_the_schema(kind: Kind) -> None:
    section = re.split(r"^## ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(kind.section + "\n")]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == {key.name for key in kind.keys}
