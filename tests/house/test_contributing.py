"""CONTRIBUTING.md, which tells a newcomer where things are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_file_and_folder_that_it_names_exists() -> None:
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.py|\.md|\.csv|\.css|\.toml))`", _TEXT)
    assert len(named) > 40
    # A name without a folder is in the package that the sentence is about.
    found = {path.name for path in ROOT.glob("exporters/**/*.py")}
    missing = [name for name in named if not (ROOT / name).exists() and name not in found]
    assert missing == []


def test_every_room_is_on_its_map() -> None:
    rooms = {path.parent.name for path in ROOT.glob("exporters/*/__init__.py")} - {"migrations"}
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", _TEXT, re.MULTILINE)))
    assert rooms <= set(listed)
