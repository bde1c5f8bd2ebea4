"""The structure of the code: imports without cycles, small modules, and packages that describe themselves."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["hub", "exporters", "simulator", "bench"]
MODULES = [
    path
    for package in [*PACKAGES, "deploy", "tests/support"]
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
]


def test_imports_have_no_cycle() -> None:
    # Includes imports inside of functions and those for type checking only.
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 200
    assert "exporters.models" in imports["exporters.hub_yaml.draft"]
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail("These modules import each other: " + " <- ".join(error.args[1]))


def test_few_modules_are_in_no_room() -> None:
    loose = sorted(path.stem for path in (ROOT / "exporters").glob("*.py") if path.stem != "__init__")
    assert len(loose) <= 6, f"Move one of these into a package: {', '.join(loose)}"


def test_no_module_is_longer_than_320_lines() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert len(lines) > 250
    assert {path: number for path, number in lines.items() if number > 320} == {}


def test_each_package_describes_itself() -> None:
    packages = [path for path in MODULES if path.name == "__init__.py"]
    assert len(packages) > 20
    undescribed = [path for path in packages if not ast.get_docstring(ast.parse(path.read_text()))]
    assert [str(path.parent.relative_to(ROOT)) for path in undescribed] == []
