"""GET /metrics: the hub's metrics about itself, as docs/hub-metrics.md describes them."""

import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from django.test import Client
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporters.configuration.reloader import reloader
from exporters.models import Credential, Namespace, ScrapeToken, Team
from exporters.telemetry import metrics
from exporters.telemetry.processes import Processes
from simulator import SimulatedNamespace
from tests.support import programs

from .test_discovery import token_of

AddTarget = Callable[..., Namespace]
DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "hub-metrics.md"
EXPIRY = datetime(2031, 5, 1, tzinfo=UTC)


def families(client: Client) -> dict[str, Metric]:
    response = client.get("/metrics")
    assert response.status_code == 200
    return {family.name: family for family in parse_text(response.content.decode())}


def named(family: Metric | None) -> set[tuple[str, str]]:
    samples = [sample.labels for sample in family.samples] if family else []
    return {(labels.get("token") or labels["credential"], labels["team"]) for labels in samples}


def rows_of(registry: CollectorRegistry | list[Metric]) -> set[tuple[str, str, str]]:
    rows = set()
    for family in registry if isinstance(registry, list) else registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.add((name, family.type, family.documentation))
    return rows


def test_the_documentation_lists_every_metric_as_it_is(hub: None) -> None:
    configuration = reloader.current()
    real = rows_of(list(metrics.REGISTRY.collect()))
    real |= rows_of(list(metrics.Moment(configuration).collect()))
    real |= rows_of(list(Processes(os.getpid()).collect()))
    lines = re.findall(r"^\| `(\w+)` \| (\w+) \|(.*)\| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    assert {(name, kind, meaning) for name, kind, _, meaning in lines} == real
    assert [line[0] for line in lines] == sorted(line[0] for line in lines)


def test_the_documentation_names_every_label(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client, team: Team
) -> None:
    add_target(bus)
    metrics.SPARE_USED.labels("payments-key", "payments").inc()
    Credential.objects.update(expires_at=EXPIRY)
    ScrapeToken.objects.update(expires_at=EXPIRY)
    Team.objects.get().save()
    scraper.get("/metrics/payments")
    scraper.get("/sd")
    documented = dict(
        re.findall(r"^\| `(\w+?)(?:_total)?` \| \w+ \|(.*)\| .* \|$", DOCS.read_text(), re.MULTILINE)
    )
    for name, family in families(scraper).items():
        if not name.startswith("hub_") or name.endswith("_created"):
            continue
        if not family.samples:  # no such event has occurred
            continue
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == set(re.findall(r"`(\w+)`", documented[name])), name


def test_what_expires_is_told_with_its_team(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    add_target(bus)
    Credential.objects.update(expires_at=EXPIRY)
    ScrapeToken.objects.update(expires_at=EXPIRY)
    Team.objects.get().save()
    found = families(scraper)
    (credential,) = found["hub_credential_expiry_timestamp_seconds"].samples
    assert credential.labels == {"credential": "payments-key", "team": "payments", "slot": "active"}
    assert credential.value == EXPIRY.timestamp()
    (token,) = found["hub_token_expiry_timestamp_seconds"].samples
    assert (token.labels, token.value) == (
        {"token": "prometheus", "team": "payments"},
        EXPIRY.timestamp(),
    )


def test_what_names_objects_of_a_team_is_shown_to_that_team_and_the_platform_alone(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client, settings: object
) -> None:
    add_target(bus)
    Credential.objects.update(expires_at=EXPIRY)
    others = token_of(Team.objects.create(name="others"), "theirs")
    platform = token_of(None)
    for client in (scraper, others, platform):
        client.get("/sd")
    used, expiring = "hub_token_last_used_timestamp_seconds", "hub_credential_expiry_timestamp_seconds"
    assert named(families(scraper).get(used)) == {("prometheus", "payments")}
    assert named(families(scraper).get(expiring)) == {("payments-key", "payments")}
    assert named(families(others).get(used)) == {("theirs", "others")}
    assert named(families(others).get(expiring)) == set()
    everything = {("prometheus", "payments"), ("theirs", "others"), ("of-the-platform", "")}
    assert named(families(platform).get(used)) == everything
    settings.HUB_METRICS_OPEN = True  # type: ignore[attr-defined]
    assert Client().get("/metrics").status_code == 200
    assert b'team="' not in Client().get("/metrics").content
    ScrapeToken.objects.get(name="theirs").delete()
    assert named(families(platform).get(used)) == everything - {("theirs", "others")}


def test_upstream_requests_are_counted_by_status(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    def counts() -> dict[str, float]:
        samples = families(scraper)["hub_upstream_requests"].samples
        return {each.labels["code"]: each.value for each in samples if each.name.endswith("_total")}

    def more(before: dict[str, float]) -> dict[str, float]:
        return {
            code: value - before.get(code, 0)
            for code, value in counts().items()
            if value != before.get(code, 0)
        }

    add_target(bus)
    scraper.get("/metrics/payments")
    before = counts()
    scraper.get("/metrics/payments")
    assert set(more(before)) == {"200"}
    before = counts()
    bus.faults.set("forbidden", path="/$resources/queues*", times=1)
    scraper.get("/metrics/payments")
    assert more(before)["403"] == 1
    before = counts()
    bus.faults.clear()
    bus.faults.set("reset")
    scraper.get("/metrics/payments")
    assert set(more(before)) == {"none"}


def test_promtool_finds_nothing_and_both_formats_can_be_read(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client
) -> None:
    add_target(bus)
    scraper.get("/metrics/payments")
    promtool = programs.require("promtool")
    text = scraper.get("/metrics").content
    answer = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, b"", b"")
    response = scraper.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert response["Content-Type"].startswith("application/openmetrics-text")
    assert list(parse_openmetrics(response.content.decode()))


def test_a_team_that_gets_the_name_of_another_one_sees_none_of_its_credentials(
    bus: SimulatedNamespace, add_target: AddTarget, scraper: Client, team: Team
) -> None:
    add_target(bus)
    metrics.SPARE_USED.labels("payments-key", "payments").inc()
    told = 'hub_credential_spare_used_total{credential="payments-key",team="payments"}'
    assert told in scraper.get("/metrics").content.decode()
    team.name = "formerly-payments"
    team.save()
    newcomers = token_of(Team.objects.create(name="payments"))
    page = newcomers.get("/metrics").content.decode()
    assert "hub_build_info" in page
    assert "payments-key" not in page
