"""Applying hub.yaml to the database."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command

from exporters import hub_yaml
from exporters.hub_yaml.draft import Draft
from exporters.models import ConfigurationVersion, Credential, LabelRule, Namespace, ScrapeToken, Team

from .conftest import CLIENT, CLIENT_SECRET, CONNECTION_STRING, KEY, TENANT, TOKEN, apply

pytestmark = pytest.mark.django_db


def test_every_key_of_the_file_arrives_in_the_database(whole: str) -> None:
    plan = apply(whole)
    assert [change.action for change in plan.changes] == ["created"] * 11
    entra = Credential.objects.get(name="payments-entra")
    assert (entra.tenant_id, entra.client_id, entra.authority) == (TENANT, CLIENT, "login.microsoftonline.us")
    assert entra.reveal_secret() == CLIENT_SECRET
    assert f"{entra.expires_at:%Y-%m-%d}" == "2027-06-30"
    namespace = Namespace.objects.get(name="payments-prod")
    assert namespace.credential == Credential.objects.get(name="payments-manage")
    assert namespace.labels == {"environment": "prod", "version": "1.10"}
    assert (namespace.include, namespace.exclude) == ("orders.*", "orders-test.*")
    assert namespace.metric_groups == ["counts", "times"]
    assert (namespace.requests_per_second, namespace.burst, namespace.concurrency) == (20, 5, 8)
    assert (namespace.timeout_seconds, namespace.cache_seconds, namespace.max_age_seconds) == (9, 1.5, 60)
    assert (namespace.max_entities, namespace.scrape_interval_seconds, namespace.scrape_timeout_seconds) == (
        2000,
        60,
        30,
    )
    assert str(namespace.endpoint()) == "payments-prod.servicebus.windows.net"
    of_team, of_namespace, of_all = (
        LabelRule.objects.get(team__name="payments", namespace=None),
        LabelRule.objects.get(namespace=namespace),
        LabelRule.objects.get(team=None),
    )
    assert (of_team.source_labels, of_team.regex, of_team.target_label) == (["name"], "([a-z]+)/.*", "domain")
    assert (of_namespace.action, of_namespace.regex, of_namespace.team) == (
        "labeldrop",
        "topic_name",
        namespace.team,
    )
    assert of_all.action == "drop"
    token = ScrapeToken.objects.get(name="prometheus")
    assert token.token_hash == ScrapeToken.hash(TOKEN)
    assert list(token.namespaces.all()) == [namespace]
    assert ScrapeToken.objects.get(name="platform").team is None


def test_what_the_file_brings_is_read_only_in_the_admin(whole: str) -> None:
    apply(whole)
    for model in (Team, Credential, Namespace, LabelRule, ScrapeToken):
        assert set(model.objects.values_list("source", flat=True)) == {"file"}


def test_a_second_time_changes_nothing_and_writes_no_history(whole: str) -> None:
    apply(whole)
    version, history = ConfigurationVersion.read(), Namespace.history.count() + ScrapeToken.history.count()
    assert apply(whole).changes == ()
    assert ConfigurationVersion.read() == version
    assert Namespace.history.count() + ScrapeToken.history.count() == history


def test_an_empty_file_is_a_file_that_names_nothing() -> None:
    assert apply("").changes == ()
    assert apply("teams:\n").changes == ()


def test_the_difference_names_each_changed_value(whole: str) -> None:
    apply(whole)
    changed = whole.replace("concurrency: 8", "concurrency: 32").replace(
        "environment: prod", "environment: live"
    )
    plan = hub_yaml.plan(changed)
    assert [str(change) for change in plan.changes] == [
        "~ namespace payments-prod\n"
        "    labels: {environment: prod, version: 1.10} -> {environment: live, version: 1.10}\n"
        "    limits.concurrency: 8 -> 32"
    ]
    assert Namespace.objects.get(name="payments-prod").concurrency == 8
    apply(changed)
    assert Namespace.objects.get(name="payments-prod").concurrency == 32


def test_a_key_that_is_taken_out_goes_back_to_its_default(whole: str) -> None:
    apply(whole)
    apply(whole.replace('    include: "orders.*"\n', ""))
    assert Namespace.objects.get(name="payments-prod").include == ""


def test_the_history_says_where_a_change_came_from(whole: str) -> None:
    apply(whole)
    apply(whole.replace("concurrency: 8", "concurrency: 32"))
    changes = Namespace.history.filter(name="payments-prod").order_by("history_id")
    assert [(row.history_type, row.history_change_reason) for row in changes] == [
        ("+", "imported from hub.yaml"),
        ("~", "imported from hub.yaml"),
    ]


def test_a_secret_that_changed_shows_as_a_fingerprint_alone(
    whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(whole)
    monkeypatch.setenv(
        "PAYMENTS_CONNECTION_STRING", CONNECTION_STRING.replace(KEY, "another+key+that+is+planted=")
    )
    plan = hub_yaml.plan(whole)
    (change,) = plan.changes
    (field,) = change.fields
    assert field.name == "secret's fingerprint"
    assert field.old != field.new
    assert len(field.new) == 8
    assert "planted" not in repr(plan.changes)


def test_no_secret_is_in_the_plan_its_errors_or_the_database(whole: str) -> None:
    plan = apply(whole)
    out = repr(plan.changes) + repr(plan.warnings) + repr(plan.errors) + hub_yaml.export()
    dump = StringIO()
    call_command("dumpdata", stdout=dump)
    for secret in (KEY, CLIENT_SECRET, TOKEN):
        assert secret not in out
        assert secret not in dump.getvalue()


def test_an_object_of_the_admin_moves_to_the_file_visibly(team: Team) -> None:
    plan = apply("teams:\n  - name: payments\n")
    assert [str(change) for change in plan.changes] == ["~ team payments\n    source: admin -> file"]
    team.refresh_from_db()
    assert team.source == "file"


def test_a_plan_that_is_outdated_is_not_applied(whole: str) -> None:
    plan = hub_yaml.plan(whole)
    Team.objects.create(name="payments")
    with pytest.raises(hub_yaml.PlanOutdatedError):
        hub_yaml.apply(plan)
    assert not Namespace.objects.exists()


def test_a_file_with_one_mistake_changes_nothing_at_all(whole: str) -> None:
    plan = hub_yaml.plan(whole.replace("concurrency: 8", "concurrency: 0"))
    with pytest.raises(hub_yaml.ConfigError):
        hub_yaml.apply(plan)
    assert not Team.objects.exists()


def test_a_credential_and_its_namespace_can_move_to_another_host_together(
    whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = whole.replace(
        "    credential: payments-manage\n", "    credential: payments-manage\n    host: HOST\n"
    )
    apply(text.replace("HOST", "payments-prod.servicebus.windows.net"))
    monkeypatch.setenv(
        "PAYMENTS_CONNECTION_STRING", CONNECTION_STRING.replace("payments-prod", "payments-new")
    )
    apply(text.replace("HOST", "payments-new.servicebus.windows.net"))
    assert (
        str(Namespace.objects.get(name="payments-prod").endpoint()) == "payments-new.servicebus.windows.net"
    )


def test_what_scrapes_note_while_a_file_is_applied_is_kept(
    whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(whole)
    used = datetime(2026, 1, 2, 3, tzinfo=UTC)
    write = Draft.write

    def note_and_write(draft: Draft) -> None:
        ScrapeToken.objects.update(last_used_at=used, last_used_address="192.0.2.1")
        Credential.objects.update(spare_used_at=used)
        write(draft)

    monkeypatch.setattr(Draft, "write", note_and_write)
    changed = whole.replace("2030-01-01T12:00:00Z", "2031-01-01T12:00:00Z")
    changed = changed.replace("scope: listed", "expires_at: 2031-01-01\n    scope: listed")
    assert len(apply(changed).changes) == 2
    assert set(ScrapeToken.objects.values_list("last_used_at", flat=True)) == {used}
    assert set(ScrapeToken.objects.values_list("expires_at__year", flat=True)) == {2031}
