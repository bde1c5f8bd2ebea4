"""A real Prometheus server, and one configured to scrape hubs."""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .servers import Server, program


class PrometheusServer(Server):
    """Runs Prometheus with the prometheus.yml in its folder."""

    name = "prometheus"

    def configure(self, config: Mapping[str, Any]) -> None:
        # JSON is YAML.
        (self.directory / "prometheus.yml").write_text(json.dumps(config))

    def command(self) -> Sequence[str]:
        return [
            program("prometheus"),
            f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    def is_up(self) -> bool:
        """Return whether it answers queries. Its port opens a moment earlier, and until then it answers 503."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def get(self, path: str, **query: str) -> Any:
        """Return the data of an API response."""
        address = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=60) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        result: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["result"]
        return result


class Prometheus(PrometheusServer):
    """A real Prometheus that scrapes namespaces at one address: the given ones, or those listed by /sd."""

    def __init__(
        self,
        address: str,
        namespaces: Iterable[str] | None,
        token: str,
        *,
        interval_seconds: float,
        ca_file: Path | None = None,
        keep: str = ".*",
        replica: str = "",
    ) -> None:
        super().__init__()
        (self.directory / "token").write_text(token)
        access: dict[str, Any] = {"authorization": {"credentials_file": str(self.directory / "token")}}
        if ca_file:
            access["tls_config"] = {"ca_file": str(ca_file)}
        scheme = "https" if ca_file else "http"
        scrape = {
            "job_name": "servicebus",
            "scheme": scheme,
            # Samples that are parsed but not kept use no memory.
            "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": keep, "action": "keep"}],
            **access,
        }
        if namespaces is None:
            discovery = {
                "url": f"{scheme}://{address}/sd",
                "refresh_interval": f"{interval_seconds:g}s",
                **access,
            }
            scrape["http_sd_configs"] = [discovery]
            # /sd lists targets under HUB_EXTERNAL_URL, which these hubs don't set.
            scrape["relabel_configs"] = [
                {"target_label": "__address__", "replacement": address},
                {"target_label": "__scheme__", "replacement": scheme},
            ]
        else:
            targets = [
                {
                    "targets": [address],
                    "labels": {"__metrics_path__": f"/metrics/{name}", "servicebus_namespace": name},
                }
                for name in namespaces
            ]
            (self.directory / "targets.json").write_text(json.dumps(targets))
            scrape["file_sd_configs"] = [{"files": [str(self.directory / "targets.json")]}]
        interval = f"{interval_seconds:g}s"
        timeout = f"{min(10.0, interval_seconds):g}s"
        config: dict[str, Any] = {
            "global": {"scrape_interval": interval, "scrape_timeout": timeout},
            "scrape_configs": [scrape],
        }
        if replica:  # as in a pair of servers; it also makes them scrape at different times
            config["global"]["external_labels"] = {"replica": replica}
        self.configure(config)

    def samples(self, selector: str, seconds: float) -> list[tuple[str, float, float]]:
        """Return every sample of the last `seconds` seconds: namespace, time, value."""
        found = []
        for series in self.query(f"{selector}[{int(seconds)}s]"):
            name = series["metric"].get("servicebus_namespace", "")
            found += [(name, float(moment), float(value)) for moment, value in series["values"]]
        return found
