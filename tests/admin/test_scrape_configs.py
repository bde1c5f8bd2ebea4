"""The scrape configurations on the pages of a namespace and a team."""

import html
import json
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone

from exporters.configuration.reloader import reloader
from exporters.discovery.snippets import TOKEN_FILE
from exporters.models import Membership, Namespace, ScrapeToken, Team
from tests.support import programs

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def _hub(settings: Any) -> None:
    settings.HUB_EXTERNAL_URL = "https://hub.example.com"
    reloader.forget()


def page(browser: Client, thing: Namespace | Team) -> str:
    kind = "namespace" if isinstance(thing, Namespace) else "team"
    response = browser.get(f"/admin/exporters/{kind}/{thing.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


def shown(text: str) -> dict[str, Any]:
    """Return the content of the snippets, by key."""
    found = re.findall(r'<pre class="code" tabindex="0" id="snippet-([\w-]+)">(.*?)</pre>', text, re.DOTALL)
    return {key: yaml.safe_load(html.unescape(snippet)) for key, snippet in found}


def test_both_screens_show_three_ways_the_recommended_one_first(
    browser: Client, namespace: Namespace, team: Team
) -> None:
    for thing in (namespace, team):
        assert list(shown(page(browser, thing))) == ["http-sd", "static", "operator"]
        assert "HTTP service discovery (recommended)" in page(browser, thing)


def test_promtool_accepts_what_is_copied(
    browser: Client, namespace: Namespace, team: Team, tmp_path: Path
) -> None:
    namespace.labels = {"environment": "prod", "note": 'with "quotes": and # more'}
    namespace.scrape_interval_seconds = 90
    namespace.save()
    (tmp_path / "token").write_text("sbh_x")
    for thing in (namespace, team):
        for key in ("http-sd", "static"):
            found = shown(page(browser, thing))[key]
            text = json.dumps(found).replace(TOKEN_FILE, str(tmp_path / "token"))
            (tmp_path / "prometheus.yml").write_text(text)
            answer = subprocess.run(
                [programs.require("promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_static_way_gives_the_target_that_discovery_gives(
    browser: Client, namespace: Namespace, team: Team
) -> None:
    namespace.labels = {"environment": "prod"}
    namespace.scrape_interval_seconds = 90
    namespace.save()
    secret = ScrapeToken.generate()
    stored = ScrapeToken(name="for-discovery", team=team, scope="team")
    stored.set_token(secret)
    stored.save()
    (group,) = Client().get("/sd", headers={"Authorization": f"Bearer {secret}"}).json()
    expected = {name: value for name, value in group["labels"].items() if not name.startswith("__meta_")}
    (job,) = shown(page(browser, namespace))["static"]["scrape_configs"]
    (static,) = job["static_configs"]
    assert static["targets"] == group["targets"]
    assert {"__scheme__": job["scheme"], **static["labels"]} == expected


def test_the_operators_way_has_the_shape_of_the_one_that_is_shipped(browser: Client, team: Team) -> None:
    found = shown(page(browser, team))["operator"]
    shipped = yaml.safe_load((ROOT / "deploy/kubernetes/base/scrapeconfig.yaml").read_text())
    assert (found["apiVersion"], found["kind"]) == (shipped["apiVersion"], shipped["kind"])
    assert found["spec"]["authorization"] == shipped["spec"]["authorization"]
    (discovery,), (other,) = found["spec"]["httpSDConfigs"], shipped["spec"]["httpSDConfigs"]
    assert set(discovery) == set(other)
    assert discovery["url"] == "https://hub.example.com/sd"


def test_the_static_way_of_a_team_lists_its_enabled_namespaces(
    browser: Client, namespace: Namespace, team: Team
) -> None:
    Namespace.objects.create(name="resting", team=team, host="r.servicebus.windows.net", enabled=False)
    Namespace.objects.create(
        name="theirs", team=Team.objects.create(name="others"), host="t.servicebus.windows.net"
    )
    (job,) = shown(page(browser, team))["static"]["scrape_configs"]
    assert [each["labels"]["__metrics_path__"] for each in job["static_configs"]] == [
        f"/metrics/{namespace.name}"
    ]


def card(text: str) -> str:
    return text[text.index('id="scrape-configs"') :]


def test_a_token_is_shown_with_when_it_was_last_seen(
    browser: Client, namespace: Namespace, token: ScrapeToken
) -> None:
    assert ">never<" in card(page(browser, namespace))
    seen = timezone.now() - timedelta(minutes=3)
    ScrapeToken.objects.update(last_used_at=seen, last_used_address="203.0.113.9")
    text = card(page(browser, namespace))
    assert ">never<" not in text
    assert "3 min ago" in text
    assert "203.0.113.9" in text
    assert token.token_hash not in text


def test_without_a_token_the_page_says_how_to_make_one(browser: Client, namespace: Namespace) -> None:
    assert "No valid token has access" in card(page(browser, namespace))


def test_tokens_that_do_not_open_the_namespace_are_not_offered(
    browser: Client, namespace: Namespace, team: Team, token: ScrapeToken
) -> None:
    other = Namespace.objects.create(name="other", team=team, host="o.servicebus.windows.net")
    token.scope = ScrapeToken.Scope.LISTED
    token.save()
    token.namespaces.add(other)
    assert "No valid token has access" in card(page(browser, namespace))
    assert "/scrapetoken/" in card(page(browser, other))
    token.revoke("a test")
    assert "No valid token has access" in card(page(browser, other))


def test_a_viewer_sees_the_teams_tokens_and_not_the_platforms(
    namespace: Namespace, team: Team, token: ScrapeToken, django_user_model: Any
) -> None:
    platform = ScrapeToken(name="of-the-platform", scope="all_teams")
    platform.set_token(ScrapeToken.generate())
    platform.save()
    viewer = django_user_model.objects.create_user("vera", password="pass-pass-pass", is_staff=True)
    Membership.objects.create(user=viewer, team=team, role=Membership.Role.VIEWER)
    client = Client()
    client.force_login(viewer)
    response = client.get(f"/admin/exporters/namespace/{namespace.pk}/change/")
    if response.status_code == 200:  # where members may open the pages
        assert "prometheus" in card(response.content.decode())
        assert "of-the-platform" not in response.content.decode()
