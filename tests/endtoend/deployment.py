"""A simulated Service Bus, a hub on PostgreSQL, and Debian's Prometheus with deploy/prometheus as shipped."""

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from simulator import Simulator
from tests.support.hubs import Hub
from tests.support.prometheus import PrometheusServer
from tests.support.servers import PostgreSQL, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_SECONDS = 90.0  # a slow, busy machine


class ShippedPrometheus(PrometheusServer):
    """Runs deploy/prometheus/prometheus.yml with another address, another token and shorter times."""

    def __init__(self, address: str, token: str, *, change: Callable[[str], str] = lambda text: text) -> None:
        super().__init__()
        shutil.copytree(ROOT / "deploy" / "prometheus", self.directory, dirs_exist_ok=True)
        (self.directory / "token").write_text(token)
        config = self.directory / "prometheus.yml"
        text = config.read_text().replace("localhost:9580", address).replace("../../var/demo/token", "token")
        config.write_text(change(text))

    def targets(self, job: str = "servicebus") -> dict[str, dict[str, Any]]:
        """Return the active targets by namespace."""
        return {
            target["labels"].get("servicebus_namespace", target["labels"]["instance"]): target
            for target in self.get("/api/v1/targets", state="active")["activeTargets"]
            if target["labels"]["job"] == job
        }

    def values(self, expression: str) -> dict[str, float]:
        """Return the values of an instant query by namespace."""
        return {
            series["metric"].get("servicebus_namespace", ""): float(series["value"][1])
            for series in self.query(expression)
        }

    def firing(self) -> set[tuple[str, str]]:
        """Return the firing alerts: name, and the values of their distinguishing labels."""
        return {
            (alert["labels"]["alertname"], _told(alert["labels"]))
            for alert in self.get("/api/v1/alerts")["alerts"]
            if alert["state"] == "firing"
        }


def _told(labels: dict[str, str]) -> str:
    named = ("servicebus_namespace", "reason", "kind", "topic_name", "name", "status", "credential", "token")
    return " ".join(labels[name] for name in named if name in labels)


def shorter(config: str) -> str:
    """Return the configuration with its times shortened to seconds."""
    config = re.sub(r"(scrape|evaluation|refresh)_interval: \d+s", r"\1_interval: 1s", config)
    return config.replace("scrape_timeout: 10s", "scrape_timeout: 1s")


def shorten_rules(directory: Path) -> None:
    for path in (directory / "rules").glob("*.yml"):
        text = re.sub(r"for: \d+m", "for: 1s", path.read_text())
        text = re.sub(r"\[\d+m\]", "[15s]", text)
        # Ages that would take minutes to reach.
        text = text.replace("hub_config_age_seconds > 300", "hub_config_age_seconds > 8")
        path.write_text(text.replace("oldest_sample_age_seconds > 300", "oldest_sample_age_seconds > 3"))


class Deployment:
    def __init__(self, simulator: Simulator, database: PostgreSQL, hub: Hub, token: str) -> None:
        self.simulator, self.database, self.hub, self.token = simulator, database, hub, token
        self.prometheus = ShippedPrometheus(f"localhost:{hub.port}", token, change=shorter)
        shorten_rules(self.prometheus.directory)

    def until(self, true: Callable[[], bool], what: str) -> None:
        wait_for(true, what, PATIENCE_SECONDS)

    def until_up(self, names: Iterable[str]) -> None:
        wanted = set(names)
        self.until(
            lambda: (
                {name for name, target in self.prometheus.targets().items() if target["health"] == "up"}
                >= wanted
            ),
            f"{sorted(wanted)} are up",
        )
