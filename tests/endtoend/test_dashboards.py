"""Every dashboard query has data in a real Prometheus."""

import json
import re
from pathlib import Path

import pytest

from .deployment import ROOT, Deployment

pytestmark = pytest.mark.e2e


def queries() -> list[tuple[str, str, str]]:
    found = []
    for path in sorted((ROOT / "deploy" / "grafana").glob("*.json")):
        for panel in json.loads(Path(path).read_text())["panels"]:
            found += [(path.stem, panel["title"], target["expr"]) for target in panel["targets"]]
    return found


def filled_in(expression: str) -> str:
    """Return what Grafana sends, with `All` chosen, or the namespace that has something of everything."""
    for text, value in (
        ('="$namespace"', '="orders-prod"'),
        ("$namespace", ".*"),
        ("$team", ".*"),
        ("$instance", ".*"),
        ("$__rate_interval", "15s"),
    ):
        expression = expression.replace(text, value)
    assert not re.search(r"\$\w", expression), expression
    return expression


def test_no_panel_is_without_data(deployment: Deployment) -> None:
    deployment.until_up({"orders-prod", "orders-stage", "search-prod"})
    empty = list(queries())
    assert len(empty) > 40

    def all_have_data() -> bool:
        empty[:] = [
            each
            for each in empty
            if not any(
                series["value"][1] != "NaN" for series in deployment.prometheus.query(filled_in(each[2]))
            )
        ]
        return not empty

    try:
        deployment.until(all_have_data, "data in every panel")
    except TimeoutError:
        assert empty == []
