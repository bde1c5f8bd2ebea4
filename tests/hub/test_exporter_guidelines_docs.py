"""docs/exporter-guidelines.md refers only to tests that exist."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
DOCS = TESTS.parent / "docs" / "exporter-guidelines.md"


def names_in(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_rule_names_a_test_and_every_named_test_exists() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("| rule |", "| --- |"))]
    assert len(rows) > 25
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row.split(" | ")[-1])
        assert named, f"no test: {row}"
        for path, name in named:
            assert name in names_in(path), f"{path} has no {name}"
