"""docs/operations.md names settings and metrics that there are."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
TEXT = (DOCS / "operations.md").read_text()


def test_every_setting_and_metric_that_it_names_exists() -> None:
    settings = set(re.findall(r"HUB_[A-Z_]+", TEXT))
    metrics = set(re.findall(r"\bhub_[a-z_]+", TEXT))
    assert settings
    assert metrics
    assert settings <= set(re.findall(r"HUB_[A-Z_]+", (DOCS / "configuration.md").read_text()))
    assert metrics <= set(re.findall(r"\bhub_[a-z_]+", (DOCS / "hub-metrics.md").read_text()))
