"""docs/prometheus.md refers only to things that exist."""

import re
from pathlib import Path

import yaml
from django.test import Client

from exporters.models import ScrapeToken
from tests.configuration.conftest import credential, entra, namespace, team

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = (ROOT / "docs" / "prometheus.md").read_text()
__all__ = ["credential", "entra", "namespace", "team"]


def first_column(heading: str) -> list[str]:
    section = DOCS[DOCS.index(f"## {heading}") :].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_every_alert_is_documented_in_order() -> None:
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules/alerts.yml").read_text())["groups"]
    assert first_column("Alerts") == [rule["alert"] for group in groups for rule in group["rules"]]


def test_every_label_of_discovery_is_documented(namespace: object, team: object) -> None:
    namespace.labels = {"environment": "prod"}  # type: ignore[attr-defined]
    namespace.scrape_interval_seconds = 60  # type: ignore[attr-defined]
    namespace.save()  # type: ignore[attr-defined]
    secret = ScrapeToken.generate()
    token = ScrapeToken(name="prometheus", team=team, scope="team")  # type: ignore[misc]
    token.set_token(secret)
    token.save()
    (group,) = Client().get("/sd", headers={"Authorization": f"Bearer {secret}"}).json()
    labels = {re.sub("label_environment$", "label_<name>", label) for label in group["labels"]}
    assert set(first_column("/sd")) == labels - {"environment"}
