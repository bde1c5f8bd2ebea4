"""docs/configuration.md lists exactly what the settings read."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_DOCUMENTED = re.compile(r"^\| `(HUB_[A-Z_]+)` \|", re.MULTILINE)
_READ = re.compile(r'environment\.\w+\(\s*"(HUB_[A-Z_]+)"')


def test_every_variable_that_the_settings_read_is_documented_and_the_other_way_round() -> None:
    documented = _DOCUMENTED.findall((ROOT / "docs" / "configuration.md").read_text())
    read = _READ.findall((ROOT / "hub" / "settings.py").read_text())
    assert len(documented) == len(set(documented)) > 20
    assert set(documented) == set(read)
