"""docs/limits.md lists every limit in the code with its value."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| `(MAX_[A-Z0-9_]+)` \| ([0-9][0-9,.]*)", re.MULTILINE)


def _limits_in_the_code() -> dict[str, float]:
    """Return the public MAX_... constants at the top level of the product's modules."""
    found = {}
    for path in [*ROOT.glob("hub/**/*.py"), *ROOT.glob("exporters/**/*.py")]:
        if "simulator" in path.parts:
            continue
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
                continue
            name = statement.targets[0].id
            if name.startswith("MAX_"):
                value = eval(compile(ast.Expression(statement.value), str(path), "eval"), {})
                assert found.setdefault(name, value) == value, f"{name} has two values"
    return found


def test_every_limit_is_documented_with_its_value() -> None:
    documented = {
        name: float(value.replace(",", ""))
        for name, value in _ROW.findall((ROOT / "docs/limits.md").read_text(encoding="utf-8"))
    }
    assert documented == _limits_in_the_code()
