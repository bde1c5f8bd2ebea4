"""deploy/compose.yaml without containers: the same programs with its settings, secrets and files, on free ports."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.support import programs
from tests.support.hubs import Hub, Nginx, Simulated
from tests.support.prometheus import Prometheus
from tests.support.servers import PostgreSQL, Redis, wait_for

from .conftest import ROOT

pytestmark = pytest.mark.e2e

DEPLOY = ROOT / "deploy"


class Deployment:
    """The programs that compose would start; `prepare` has run."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.secrets = self._make_secrets(folder)
        self.folder = folder
        self.database, self.cache = stack.enter_context(PostgreSQL()), stack.enter_context(Redis())
        url = self.secrets / "database_url"
        url.write_text(url.read_text().replace("@postgres:5432", f"@127.0.0.1:{self.database.port}"))
        self.simulated = stack.enter_context(Simulated(2, 5, 0))
        self.hubs = [Hub(self._environment(name)) for name in ("hub-1", "hub-2")]
        for hub in self.hubs:
            stack.callback(hub.close)
        self.hubs[0].manage("prepare")
        self._add_namespaces()
        for hub in self.hubs:
            hub.start()
        nginx = Nginx(self.hubs)
        for name in ("tls.crt", "tls.key"):
            shutil.copy(self.secrets / "tls" / name, nginx.directory / name)
        self.nginx = stack.enter_context(nginx)
        prometheus = Prometheus("", [], "", interval_seconds=1)
        (prometheus.directory / "prometheus.yml").write_text(self._prometheus())
        self.prometheus = stack.enter_context(prometheus)

    @staticmethod
    def _make_secrets(folder: Path) -> Path:
        script = shutil.copy(DEPLOY / "compose/make-secrets", folder)
        subprocess.run([script, "localhost"], check=True, capture_output=True, timeout=60)
        return folder / "secrets"

    def _here(self, text: str) -> str:
        """Return the text with the containers' paths replaced by local ones."""
        return text.replace("/run/secrets", str(self.secrets))

    def _environment(self, service: str) -> dict[str, str]:
        config = self.folder / "hub.yaml"
        config.write_text(self._here((DEPLOY / "compose/hub.yaml").read_text()))
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DEPLOY / "compose.yaml").read_text())
        settings = yaml.safe_load(text)["services"][service]["environment"]
        return {
            **{name: self._here(value) for name, value in settings.items()},
            "HUB_CONFIG": str(config),
            "HUB_REDIS_URL": self.cache.url,
            "HUB_TRUSTED_PROXIES": "127.0.0.1",
            "HUB_ALLOW_LOOPBACK": "1",
            "HUB_CA_FILE": self.simulated.ca_file,
        }

    def _add_namespaces(self) -> None:
        """Add the simulated namespaces, as a user would in the admin."""
        credentials, namespaces = [], []
        for name, secret in self.simulated.namespaces.items():
            (self.secrets / name).write_text(secret)
            kind = {"kind": "connection_string", "secret": {"file": str(self.secrets / name)}}
            credentials.append({"name": name, "team": "payments", **kind})
            namespaces.append({"name": name, "team": "payments", "credential": name})
        path = self.folder / "namespaces.yaml"
        objects = {"teams": [{"name": "payments"}], "credentials": credentials, "namespaces": namespaces}
        path.write_text(yaml.safe_dump(objects))
        self.hubs[0].manage("apply_config", str(path))

    def _prometheus(self) -> str:
        text = self._here((DEPLOY / "compose/prometheus.yml").read_text())
        nginx = f"127.0.0.1:{self.nginx.port}"
        for name, here in {
            "https://nginx/": f"https://{nginx}/",
            "nginx:443": nginx,
            "/etc/prometheus/ca.crt": str(self.secrets / "tls/tls.crt"),
            "/etc/prometheus/hub": str(DEPLOY / "prometheus"),
            "hub-1:9580": self.hubs[0].address,
            "hub-2:9580": self.hubs[1].address,
            "scrape_interval: 30s": "scrape_interval: 1s",
            "scrape_timeout: 10s": "scrape_timeout: 1s",
        }.items():
            assert name in text
            text = text.replace(name, here)
        return text


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    for name in ("postgres", "initdb", "redis-server", "nginx", "openssl", "prometheus"):
        programs.require(name)
    with ExitStack() as stack:
        yield Deployment(tmp_path, stack)


def test_prometheus_scrapes_the_namespaces_through_nginx_and_each_hub_directly(
    deployment: Deployment,
) -> None:
    def values(expression: str) -> list[str]:
        return sorted(found["value"][1] for found in deployment.prometheus.query(expression))

    wait_for(
        lambda: values('servicebus_up{job="servicebus",team="payments"}') == ["1", "1"], "namespaces", 60
    )
    wait_for(lambda: values('up{job="servicebus-hub"}') == ["1", "1"], "both hubs are scraped", 60)
    # The rules are loaded as well.
    wait_for(lambda: bool(values("namespace:servicebus_entities:ratio")), "a recording rule has a result", 90)
