"""docs/operations.md refers only to settings and metrics that exist."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
TEXT = (DOCS / "operations.md").read_text()


def test_every_setting_and_metric_that_it_names_exists() -> None:
    settings = set(re.findall(r"HUB_[A-Z_]+", TEXT))
    metrics = set(re.findall(r"\bhub_[a-z_]+", TEXT))
    assert settings
    assert metrics
    # Variables that compose itself fills in are explained where they are used.
    of_compose = set(re.findall(r"\$\{(HUB_\w+)", (DOCS.parent / "deploy/compose.yaml").read_text()))
    known = set(re.findall(r"HUB_[A-Z_]+", (DOCS / "configuration.md").read_text()))
    assert settings <= known | of_compose
    assert metrics <= set(re.findall(r"\bhub_[a-z_]+", (DOCS / "hub-metrics.md").read_text()))


def test_every_file_that_it_names_exists() -> None:
    paths = {
        path
        for path in re.findall(r"`(deploy/[\w./-]+)`", TEXT)
        if "/secrets" not in path and path != "deploy/.env"
    }
    assert len(paths) > 5
    assert [path for path in paths if not (DOCS.parent / path).exists()] == []
