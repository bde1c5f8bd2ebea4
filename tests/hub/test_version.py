from pathlib import Path

from hub.version import read_version


def test_the_version_is_the_newest_heading_of_the_changelog(tmp_path: Path) -> None:
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## 1.2.3 - 2026-01-01\n\n## 1.2.2\n")
    assert read_version(changelog) == "1.2.3"


def test_a_missing_changelog_is_an_unknown_version(tmp_path: Path) -> None:
    assert read_version(tmp_path / "nowhere") == "0+unknown"
