"""export_config followed by apply_config changes nothing, whatever is stored."""

from datetime import UTC
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from exporters import hub_yaml
from exporters.models import Credential, IdentityGrant, LabelRule, Namespace, ScrapeToken, Team
from exporters.prometheus.metrics import GROUPS
from exporters.prometheus.relabel import ANYTHING

from .conftest import CLIENT, CLIENT_SECRET, CONNECTION_STRING, KEY, TENANT

pytestmark = pytest.mark.django_db

# Everything that a database's text column can hold; YAML treats many of these characters specially.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NAME = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
WORDS = st.sampled_from(["", "no", "1.10", "~", "null", "2026-01-01", "a|b", "# x", "{a: b}", " x ", "\x85"])
SOURCE = st.sampled_from(["admin", "file"])
SECONDS = st.floats(1, 300, allow_nan=False)
HOST = "payments-prod.servicebus.windows.net"
LABEL = st.from_regex(r"[a-z]_[a-z_]{0,5}", fullmatch=True)


def save(item: Any) -> Any:
    item.full_clean()
    item.save()
    return item


@st.composite
def configurations(draw: st.DrawFn) -> None:
    """Store a configuration with objects of every kind; drawn values decide its content."""
    teams = [
        save(Team(name=name, description=draw(TEXT | WORDS).strip("\n"), source=draw(SOURCE)))
        for name in draw(st.lists(NAME, min_size=1, max_size=3, unique=True))
    ]
    kinds = {
        "connection_string": {"secret": CONNECTION_STRING},
        "client_secret": {
            "secret": CLIENT_SECRET,
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "authority": draw(st.sampled_from(["", "login.chinacloudapi.cn"])),
            "expires_at": draw(st.none() | st.datetimes(timezones=st.just(UTC))),
        },
        "managed_identity": {"client_id": draw(st.sampled_from(["", CLIENT]))},
        "workload_identity": {
            "token_file": draw(st.sampled_from(["", "/var/run/token"])),
            "tenant_id": TENANT,
        },
    }
    credentials = [
        save(
            Credential(
                name=f"c{index}-{kind.replace('_', '-')}",
                team=None if Credential.Kind(kind).is_platforms else draw(st.none() | st.sampled_from(teams)),
                kind=kind,
                source=draw(SOURCE),
                **fields,
            )
        )
        for index, (kind, fields) in enumerate(kinds.items())
    ]
    for credential in credentials:
        if credential.team is not None:
            credential.hosts = draw(st.sampled_from([[HOST], ["a.servicebus.windows.net", HOST]]))
            save(credential)
        else:
            for team in teams:
                save(IdentityGrant(credential=credential, team=team, hosts=[HOST]))
    namespaces = []
    for name in draw(st.lists(NAME, max_size=3, unique=True)):
        team = draw(st.sampled_from(teams))
        usable = [credential for credential in credentials if credential.team in (None, team)]
        credential = draw(st.none() | st.sampled_from(usable) if usable else st.none())
        namespaces.append(
            save(
                Namespace(
                    name=name,
                    team=team,
                    credential=credential,
                    host=HOST,
                    enabled=draw(st.booleans()),
                    labels=draw(st.dictionaries(LABEL, TEXT | WORDS, max_size=3)),
                    include=draw(st.sampled_from(["", "orders.*", r"a\.b|\d+", "no"])),
                    metric_groups=draw(st.lists(st.sampled_from(GROUPS), unique=True)),
                    requests_per_second=draw(st.none() | SECONDS),
                    burst=draw(st.none() | st.integers(1, 100)),
                    concurrency=draw(st.integers(1, 256)),
                    cache_seconds=draw(st.floats(0, 3600)),
                    scrape_timeout_seconds=draw(st.none() | SECONDS),
                    source=draw(SOURCE),
                )
            )
        )
    for _ in range(draw(st.integers(0, 6))):
        save(
            LabelRule(
                team=draw(st.none() | st.sampled_from(teams)),
                source_labels=draw(st.lists(LABEL, max_size=3)),
                separator=draw(TEXT),
                regex=draw(st.sampled_from([ANYTHING, "", "no", "a.*"])),
                target_label=draw(LABEL),
                replacement=draw(TEXT | WORDS),
                position=draw(st.none() | st.integers(0, 3)),
                source=draw(SOURCE),
            )
        )
    for name in draw(st.lists(NAME, max_size=3, unique=True)):
        team = draw(st.none() | st.sampled_from(teams))
        scope = draw(st.sampled_from(["listed", "team" if team else "all_teams"]))
        token = ScrapeToken(name=name, team=team, scope=scope, source=draw(SOURCE))
        token.set_token(ScrapeToken.generate())
        save(token)
        if scope == "listed":
            token.namespaces.set(draw(st.permutations(namespaces))[: draw(st.integers(0, 2))])
        if draw(st.booleans()):
            token.revoke("lost")


# Without shrinking: an example takes 0.1 s in the database, and a failure prints a small difference anyway.
@pytest.mark.slow
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.data())
def test_whatever_is_stored_comes_back_unchanged(data: st.DataObject) -> None:
    with transaction.atomic():
        data.draw(configurations())
        text = hub_yaml.export()
        plan = hub_yaml.plan(text, prune=True)
        assert plan.messages() == []
        assert plan.changes == ()
        transaction.set_rollback(True)


def test_the_export_holds_no_secret_and_leaves_defaults_out(namespace: Namespace) -> None:
    text = hub_yaml.export()
    assert KEY not in text
    mark = Credential.objects.get().secret_fingerprint
    assert yaml.safe_load(text) == {
        "teams": [{"name": "payments", "source": "admin"}],
        "credentials": [
            {
                "name": "payments-manage",
                "team": "payments",
                "kind": "connection_string",
                "secret": {"stored": mark},
                "source": "admin",
            }
        ],
        "namespaces": [
            {"name": "payments-prod", "team": "payments", "credential": "payments-manage", "source": "admin"}
        ],
    }


def test_another_hub_applies_an_export_and_exports_the_same(whole: str) -> None:
    hub_yaml.apply(hub_yaml.plan(whole))
    out = StringIO()
    call_command("export_config", stdout=out)
    first = out.getvalue()
    hub_yaml.apply(hub_yaml.plan("", prune=True))
    assert not Team.objects.exists()
    hub_yaml.apply(hub_yaml.plan(first))
    assert hub_yaml.export() == first


def test_an_empty_hub_exports_a_file_that_can_be_applied(tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text(hub_yaml.export())
    call_command("apply_config", str(tmp_path / "hub.yaml"), stdout=StringIO())
