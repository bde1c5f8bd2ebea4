"""Configuration objects, and secrets that a test can recognize in any output."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporters import hub_yaml
from exporters.models import Credential, Namespace, Team

KEY = "cGxhbnRlZC1zZWNyZXQta2V5LW9mLXBheW1lbnRzLTAwNGYyYQ=="
CONNECTION_STRING = (
    "Endpoint=sb://payments-prod.servicebus.windows.net/;"
    f"SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={KEY}"
)
TENANT = "0f5a9f6e-1111-4222-8333-444455556666"
CLIENT = "7b1de8c4-aaaa-4bbb-8ccc-ddddeeeeffff"
CLIENT_SECRET = "planted~client~secret~8Q.x1y2z3"


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="payments")


@pytest.fixture
def credential(team: Team) -> Credential:
    credential = Credential(name="payments-manage", team=team, secret=CONNECTION_STRING)
    credential.full_clean()
    credential.save()
    return credential


@pytest.fixture
def namespace(team: Team, credential: Credential) -> Namespace:
    return Namespace.objects.create(name="payments-prod", team=team, credential=credential)


MakeCredential = Callable[..., Credential]


@pytest.fixture
def entra(team: Team) -> MakeCredential:
    """A client secret that is complete except for the given fields."""

    def make(**fields: Any) -> Credential:
        values = {
            "name": "entra",
            "team": team,
            "kind": "client_secret",
            "secret": CLIENT_SECRET,
            "tenant_id": TENANT,
            "client_id": CLIENT,
        }
        return Credential(**values | fields)

    return make


TOKEN = "planted-scrape-token-0123456789"

WHOLE = """\
teams:
  - name: payments
    description: Cards and invoices
credentials:
  - name: payments-manage
    team: payments
    kind: connection_string
    secret: {env: PAYMENTS_CONNECTION_STRING}
  - name: payments-entra
    team: payments
    kind: client_secret
    secret: {env: PAYMENTS_CLIENT_SECRET}
    tenant_id: 0f5a9f6e-1111-4222-8333-444455556666
    client_id: 7b1de8c4-aaaa-4bbb-8ccc-ddddeeeeffff
    authority: login.microsoftonline.us
    expires_at: 2027-06-30
  - {name: hub-identity, kind: managed_identity,
     grants: [{team: payments, hosts: [payments-stage.servicebus.windows.net]}]}
namespaces:
  - name: payments-prod
    team: payments
    credential: payments-manage
    labels: {environment: prod, version: 1.10}
    include: "orders.*"
    exclude: "orders-test.*"
    enabled: yes
    metrics: [counts, times]
    limits: {requests_per_second: 20, burst: 5, concurrency: 8, timeout_seconds: 9, cache_seconds: 1.5,
             max_age_seconds: 60, max_entities: 2000}
    scrape: {interval_seconds: 60, timeout_seconds: 30}
  - name: payments-stage
    team: payments
    host: payments-stage.servicebus.windows.net
    credential: hub-identity
label_rules:
  - team: payments
    source_labels: [name]
    regex: "([a-z]+)/.*"
    target_label: domain
  - namespace: payments-prod
    action: labeldrop
    regex: topic_name
  - action: drop
    source_labels: [name]
    regex: "test-.*"
tokens:
  - name: prometheus
    team: payments
    scope: listed
    namespaces: [payments-prod]
    token: {env: PAYMENTS_SCRAPE_TOKEN}
  - name: platform
    scope: all_teams
    token: {file: TOKEN_FILE}
    expires_at: 2030-01-01T12:00:00Z
"""


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A file with every kind of object and every key."""
    monkeypatch.setenv("PAYMENTS_CONNECTION_STRING", CONNECTION_STRING)
    monkeypatch.setenv("PAYMENTS_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("PAYMENTS_SCRAPE_TOKEN", TOKEN)
    (tmp_path / "token").write_text("sbh_" + TOKEN * 2 + "\n")
    return WHOLE.replace("TOKEN_FILE", str(tmp_path / "token"))


def apply(text: str, prune: bool = False) -> hub_yaml.Plan:
    return hub_yaml.apply(hub_yaml.plan(text, prune=prune))


def errors(text: str, prune: bool = False) -> list[str]:
    return hub_yaml.plan(text, prune=prune).messages()
