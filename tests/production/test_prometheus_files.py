"""deploy/prometheus passes promtool's checks; its queries and deploy/grafana's use only metrics that exist."""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporters.prometheus import metrics
from tests.support import programs

ROOT = Path(__file__).resolve().parent.parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
OF_PROMETHEUS = {"up"}


def promtool(*arguments: str | Path) -> str:
    answer = subprocess.run(
        [programs.require("promtool"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def rules(kind: str) -> list[dict[str, Any]]:
    return [
        rule
        for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if kind in rule
    ]


def dashboards() -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("make", GRAFANA / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: dict[str, Any] = module.dashboards()
    return made


def queries() -> list[str]:
    return [
        target["expr"]
        for made in dashboards().values()
        for panel in made["panels"]
        for target in panel["targets"]
    ]


def test_promtool_accepts_the_configuration_as_it_is_shipped(tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS, tmp_path / "deploy" / "prometheus")
    token = tmp_path / "var" / "demo" / "token"
    token.parent.mkdir(parents=True)
    token.write_text("sbh_token")
    said = promtool("check", "config", tmp_path / "deploy" / "prometheus" / "prometheus.yml")
    assert "2 rule files found" in said


def test_promtool_accepts_the_rules_and_their_tests_pass() -> None:
    promtool("check", "rules", "--lint-fatal", *sorted((PROMETHEUS / "rules").glob("*.yml")))
    promtool("test", "rules", *sorted((PROMETHEUS / "rules-tests").glob("*.yml")))


def test_every_alert_is_tested_in_both_ways_but_where_there_is_only_one() -> None:
    tested: dict[str, set[bool]] = {}
    for path in (PROMETHEUS / "rules-tests").glob("*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for each in case["alert_rule_test"]:
                tested.setdefault(each["alertname"], set()).add(bool(each["exp_alerts"]))
    assert set(tested) == {rule["alert"] for rule in rules("alert")}
    assert [name for name, ways in tested.items() if True not in ways] == []


def test_every_alert_says_what_to_do_about_it() -> None:
    for rule in rules("alert"):
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


@pytest.mark.parametrize(
    "expression", sorted({rule["expr"] for rule in (*rules("alert"), *rules("record"))} | set(queries()))
)
def test_a_query_names_only_metrics_that_exist(expression: str) -> None:
    documented = (ROOT / "docs" / "hub-metrics.md").read_text()
    known = set(re.findall(r"^\| `(\w+)` \|", documented, re.MULTILINE)) | OF_PROMETHEUS
    known |= {metric.name for metric in (*metrics.ENTITY_METRICS, *metrics.SCRAPE_METRICS)}
    known |= {rule["record"] for rule in rules("record")}
    known.add("hub_scrape_duration_seconds_bucket")
    named = set(
        re.findall(r"(?<![\w:$])(?:servicebus|hub|process|entity:|namespace:)\w*(?::\w+)*", expression)
    )
    named -= {"servicebus_namespace"} | set(re.findall(r'"([^"]*)"', expression))
    for pattern in re.findall(r'__name__=~"([^"]+)"', expression):
        assert [name for name in known if re.fullmatch(pattern, name)], pattern
        named = {name for name in named if not pattern.startswith(name)}
    named -= {name for quoted in re.findall(r'"[^"]*"', expression) for name in re.findall(r"\w+", quoted)}
    assert named <= known


def test_the_dashboards_are_what_their_code_makes() -> None:
    for name, made in dashboards().items():
        assert json.loads((GRAFANA / name).read_text()) == made, "run deploy/grafana/make.py"
    assert {path.name for path in GRAFANA.glob("*.json")} == set(dashboards())


def test_panels_of_a_dashboard_do_not_cover_each_other() -> None:
    for made in dashboards().values():
        taken = set()
        for panel in made["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            assert place["x"] + place["w"] <= 24
            taken |= cells
