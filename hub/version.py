"""The hub's version, which has one source: the newest numbered heading in CHANGELOG.md."""

import re
from pathlib import Path

_CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"


def read_version(changelog: Path = _CHANGELOG) -> str:
    """Return the version of the first `## X.Y.Z` heading; `0+unknown` if the file is missing or has none."""
    try:
        text = changelog.read_text(encoding="utf-8")
    except OSError:
        return "0+unknown"
    found = re.search(r"^## v?(\d+\.\d+\.\d+\S*)", text, re.MULTILINE)
    return found.group(1) if found else "0+unknown"


VERSION = read_version()
