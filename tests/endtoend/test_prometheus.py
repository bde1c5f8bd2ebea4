"""With deploy/prometheus/prometheus.yml, Prometheus discovers, scrapes, keeps and drops namespaces."""

import subprocess
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.support import programs

from .deployment import Deployment, ShippedPrometheus, shorter
from .proxy import Proxy

pytestmark = pytest.mark.e2e


def test_every_enabled_namespace_is_a_target_with_its_labels(deployment: Deployment) -> None:
    deployment.until_up({"orders-prod", "orders-stage", "search-prod"})
    targets = deployment.prometheus.targets()
    assert "search-paused" not in targets
    instance = f"localhost:{deployment.hub.port}"
    assert targets["orders-prod"]["labels"] == {
        "job": "servicebus",
        "instance": instance,
        "servicebus_namespace": "orders-prod",
        "team": "orders",
        "environment": "prod",
        "criticality": "high",
    }
    found = targets["orders-prod"]["discoveredLabels"]
    assert found["__meta_servicebus_team"] == "orders"
    assert found["__meta_servicebus_label_environment"] == "prod"
    assert (targets["search-prod"]["scrapeInterval"], targets["search-prod"]["scrapeTimeout"]) == (
        "2s",
        "1500ms",
    )
    assert targets["orders-prod"]["scrapeUrl"] == f"http://{instance}/metrics/orders-prod"
    deployment.until(
        lambda: (
            deployment.prometheus.values('servicebus_up{environment=~"prod|stage"}')
            == {"orders-prod": 1, "orders-stage": 0}
        ),
        "servicebus_up tells the wrong key",
    )
    assert deployment.prometheus.values('up{servicebus_namespace=~"orders.*"}') == {
        "orders-prod": 1,
        "orders-stage": 1,
    }
    assert deployment.prometheus.values('servicebus_queue_active_messages{name="work"}') == {"orders-prod": 5}


def test_a_namespace_that_is_added_while_prometheus_runs_appears_and_goes_with_its_removal(
    deployment: Deployment,
) -> None:
    bus = deployment.simulator.add_namespace("orders-new")
    bus.add_queue("fresh", active=3)
    added = {"orders-new": {"team": "orders", "secret": bus.connection_string}}
    deployment.hub.seed(namespaces=added, tokens={})
    deployment.until_up({"orders-new"})
    deployment.until(
        lambda: (
            deployment.prometheus.values('servicebus_queue_active_messages{name="fresh"}')
            == {"orders-new": 3}
        ),
        "its queue is scraped",
    )
    deployment.hub.seed(delete=["orders-new"], tokens={})
    deployment.until(lambda: "orders-new" not in deployment.prometheus.targets(), "it is no target any more")
    deployment.until(
        lambda: not deployment.prometheus.values('servicebus_up{servicebus_namespace="orders-new"}'),
        "its series are stale",
    )


def test_prometheus_takes_both_formats_compressed_and_shows_its_token_to_discovery(
    deployment: Deployment,
) -> None:
    with Proxy() as usual, Proxy(accept="text/plain;version=0.0.4") as text:
        for proxy, expected in (
            (usual, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"),
            (text, "text/plain; version=0.0.4; charset=utf-8"),
        ):

            def through(config: str, url: str = proxy.url) -> str:
                config = shorter(config)
                return config.replace(
                    "    http_sd_configs:", f"    proxy_url: {url}\n    http_sd_configs:"
                ).replace("        refresh_interval", f"        proxy_url: {url}\n        refresh_interval")

            with ShippedPrometheus(
                f"localhost:{deployment.hub.port}", deployment.token, change=through
            ) as prometheus:
                deployment.until(
                    lambda prometheus=prometheus: (  # type: ignore[misc]
                        prometheus.values('servicebus_queue_active_messages{name="work"}')
                        == {"orders-prod": 5}
                    ),
                    "Prometheus reads it through the proxy",
                )
                assert prometheus.values('up{servicebus_namespace="orders-prod"}') == {"orders-prod": 1}
            scrapes = [each for each in proxy.exchanges if each.path == "/metrics/orders-prod"]
            assert {each.answered["content-type"] for each in scrapes} == {expected}
            assert {each.answered["content-encoding"] for each in scrapes} == {"gzip"}
            assert {each.asked["accept-encoding"] for each in scrapes} == {"gzip"}
            assert all(each.asked["authorization"] == f"Bearer {deployment.token}" for each in scrapes)
            lists = [each for each in proxy.exchanges if each.path == "/sd"]
            assert {each.status for each in lists} == {200}
            assert {each.answered["content-type"] for each in lists} == {"application/json"}
            assert lists[0].asked["authorization"].endswith(deployment.token)


def test_a_teams_token_finds_that_teams_namespaces(deployment: Deployment) -> None:
    status, body = deployment.hub.get("/sd?team=search", deployment.token)
    assert status == 200
    assert "search-prod" in body
    assert "orders-prod" not in body
    assert deployment.hub.get("/sd?team=nobody", deployment.token)[0] == 404


def test_targets_outlive_a_restart_of_the_hub(deployment: Deployment) -> None:
    deployment.until_up({"orders-prod", "search-prod"})
    before = set(deployment.prometheus.targets())
    deployment.hub.stop()
    deployment.until(
        lambda: deployment.prometheus.values('up{servicebus_namespace="orders-prod"}') == {"orders-prod": 0},
        "the scrapes fail",
    )
    deployment.until(lambda: ("ServiceBusHubDown", "") in deployment.prometheus.firing(), "the hub is missed")
    deployment.until(
        lambda: ("ServiceBusTargetDown", "orders-prod") in deployment.prometheus.firing(), "so is the target"
    )
    assert set(deployment.prometheus.targets()) == before
    deployment.hub.start()
    deployment.until_up({"orders-prod", "search-prod"})
    assert set(deployment.prometheus.targets()) == before


def test_with_the_database_stopped_discovery_answers_5xx_and_prometheus_keeps_its_targets(
    deployment: Deployment,
) -> None:
    deployment.until_up({"orders-prod", "search-prod"})
    assert deployment.hub.get("/sd", deployment.token)[0] == 200
    before = set(deployment.prometheus.targets())
    deployment.database.stop()
    try:
        deployment.until(lambda: deployment.hub.get("/sd", deployment.token)[0] == 503, "/sd answers 503")
        deployment.until(
            lambda: any(
                name == "ServiceBusHubConfigurationOld" for name, _ in deployment.prometheus.firing()
            ),
            "the alert fires",
        )
        assert deployment.hub.get("/sd", deployment.token)[0] == 503
        assert set(deployment.prometheus.targets()) == before
        bus = deployment.simulator.namespaces["orders-prod"]
        bus.queues["work"].active = 77
        deployment.until(
            lambda: (
                deployment.prometheus.values('servicebus_queue_active_messages{name="work"}')
                == {"orders-prod": 77}
            ),
            "scrapes go on meanwhile",
        )
        bus.queues["work"].active = 5
    finally:
        deployment.database.start()
    deployment.until(lambda: deployment.hub.get("/sd", deployment.token)[0] == 200, "/sd answers again")
    assert set(deployment.prometheus.targets()) == before


def test_no_page_has_a_series_twice_or_a_family_in_two_pieces(deployment: Deployment) -> None:
    pages = ["/metrics", *(f"/metrics/{name}" for name in ("orders-prod", "orders-stage", "search-prod"))]
    for page in pages:
        status, body = deployment.hub.get(page, deployment.token)
        assert status == 200
        seen: set[str] = set()
        families: list[str] = []
        for line in body.splitlines():
            if line.startswith("# TYPE "):
                families.append(line.split()[2])
            if line.startswith("#"):
                continue
            series = line.rpartition(" ")[0]
            assert series not in seen, f"{page} has {series} twice"
            seen.add(series)
            name = series.partition("{")[0]
            assert name.startswith(families[-1].removesuffix("_total")), f"{page}: {name} in {families[-1]}"
        assert len(families) == len(set(families)), f"{page} has a family in two pieces"


def test_openmetrics_of_every_page_can_be_read_by_its_own_parser(deployment: Deployment) -> None:
    for page in ("/metrics", "/metrics/orders-prod", "/metrics/orders-stage", "/metrics/search-prod"):
        request = urllib.request.Request(f"http://{deployment.hub.address}{page}")
        request.add_header("Authorization", f"Bearer {deployment.token}")
        request.add_header("Accept", "application/openmetrics-text;version=1.0.0")
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = answer.read().decode()
        families = list(parse_openmetrics(body))
        assert len(families) == len({family.name for family in families})
        samples = [sample for family in families for sample in family.samples]
        assert samples
        assert [sample for sample in samples if sample.timestamp is not None] == []
        assert body.endswith("# EOF\n")


def test_promtool_finds_nothing_on_any_page(deployment: Deployment) -> None:
    for page in ("/metrics", "/metrics/orders-prod", "/metrics/orders-stage", "/metrics/search-prod"):
        body = deployment.hub.get(page, deployment.token)[1].encode()
        answer = subprocess.run(
            [programs.require("promtool"), "check", "metrics"],
            input=body,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (answer.returncode, answer.stderr, answer.stdout) == (0, b"", b""), page
