"""Whatever is stored for an object, its pages still open: an odd value is shown as such, logged and counted."""

import datetime as dt
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import models, transaction
from django.test import Client
from django.utils import timezone

from exporters.configuration.derivation import target as target_of
from exporters.configuration.reloader import reloader
from exporters.models import (
    Credential,
    IdentityGrant,
    Membership,
    Namespace,
    NamespaceStatus,
    ScrapeRecord,
    Team,
)
from exporters.pages import dashboard, entity_table
from exporters.scraping import last_reading, scrape
from exporters.servicebus.entities import Counts, Queue, Snapshot, Subscription, Topic
from exporters.telemetry import metrics
from tests.access import people

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ODD_TEXTS = ("unknown", "a" * 16, "<b>&", "")
ODD_NUMBERS: tuple[float, ...] = (0, 1e300, 2**31 - 1)
ODD_JSON: tuple[Any, ...] = (
    [],
    {},
    [[]],
    [["s"]],
    [[None, None]],
    "text",
    7,
    [{"a": 1}],
    [["s", "x"]],
    {"a": []},
)
ODD_MOMENTS = (dt.datetime(1, 1, 1, 14, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, tzinfo=dt.UTC))
# Pages that show one namespace and its scrapes.
PAGES = ("/admin/", "/wall/{wall}", "/admin/exporters/namespace/{namespace}/status/")


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    reloader.forget()
    last_reading.forget()
    made = people.make()
    namespace = Namespace.objects.get(pk=made["namespace"])
    shared = {
        "namespace": namespace,
        "at": timezone.now(),
        "outcome": "failure",
        "reason": "dns",
        "allowed_seconds": 9,
    }
    NamespaceStatus.objects.create(**shared, duration_seconds=1, since=NOW, recent=[["s", 3]], message="x")
    ScrapeRecord.objects.create(**shared, duration_seconds=1, message="x")
    return made


@pytest.fixture
def admin(objects: dict[str, Any]) -> Client:
    client = people.client("admin")
    client.raise_request_exception = False
    return client


def _odd_values(field: Any) -> tuple[Any, ...]:
    match field:
        case models.JSONField():
            return ODD_JSON
        case models.DateTimeField():
            return ODD_MOMENTS
        case models.IntegerField():
            return tuple(int(each) for each in ODD_NUMBERS if each < 2**32)
        case models.FloatField():
            return (*ODD_NUMBERS, -1.0)
        case models.CharField() | models.TextField():
            return tuple(text[: field.max_length] for text in ODD_TEXTS)
    return ()


def _odd_rows() -> Iterator[tuple[type[models.Model], str, Any]]:
    for model in (NamespaceStatus, ScrapeRecord):
        for field in model._meta.fields:
            if not field.primary_key and not field.is_relation:
                for value in _odd_values(field):
                    yield model, field.attname, value


def _errors() -> float:
    return metrics.INTERNAL_ERRORS.labels("page")._value.get()


def test_an_odd_value_of_a_scrape_takes_no_page_away(objects: dict[str, Any], admin: Client) -> None:
    failed = []
    for number, (model, name, value) in enumerate(_odd_rows()):
        for page in {PAGES[number % 2], PAGES[2]}:
            with transaction.atomic():
                model._default_manager.update(**{name: value})
                answer = admin.get(page.format(**objects))
                transaction.set_rollback(True)
            if answer.status_code != 200 or (b"orders-bus" not in answer.content and page == "/admin/"):
                failed.append(f"{answer.status_code} {page} with {model.__name__}.{name} = {value!r}")
    assert failed == []


def test_a_reason_that_this_version_does_not_know_is_shown_without_advice(
    objects: dict[str, Any], admin: Client
) -> None:
    NamespaceStatus.objects.update(reason="of_tomorrow", message="Something new.")
    for page in (PAGES[0], PAGES[2]):
        answer = admin.get(page.format(**objects))
        assert answer.status_code == 200
        assert "Something new." in answer.text
    assert "of_tomorrow" in admin.get(PAGES[1].format(**objects)).text


def test_what_can_not_be_shown_is_a_question_mark_and_counted(
    objects: dict[str, Any], admin: Client, caplog: pytest.LogCaptureFixture
) -> None:
    before = _errors()
    NamespaceStatus.objects.update(recent=[["s", "a secret"]])
    page = admin.get("/admin/").text
    assert "payments-bus" in page
    assert ">?<" in page
    assert _errors() == before + 1
    assert "Internal error (page): ValueError" in caplog.text
    assert "a secret" not in caplog.text


def test_a_bug_in_the_state_of_one_target_leaves_the_others(
    objects: dict[str, Any], admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = dashboard.summary

    def broken(namespace: Namespace, now: dt.datetime) -> Any:
        if namespace.name == "payments-bus":
            raise KeyError(namespace.name)
        return right(namespace, now)

    monkeypatch.setattr(dashboard, "summary", broken)
    page = admin.get("/admin/").text
    assert "payments-bus" in page
    assert "orders-bus" in page
    assert dashboard.UNREADABLE.replace("'", "&#x27;") in page
    assert admin.get(PAGES[2].format(**objects)).status_code == 200


# Not written as one literal, because a traceback contains lines of source code.
SECRET = " ".join(("a secret", "that was entered"))
# No half of a surrogate pair, because both parsers refuse it.
ODD_NAMES = ("", "\0", "a" * 5000, "<script>", "\U0010ffff", "../..", "x\n# HELP x", "{{ x }}")


def _odd_snapshots() -> Iterator[Snapshot]:
    huge = Counts(10**400, -1, 0, 2**63, 10**30)
    nothing = dict.fromkeys(("size_bytes", "max_size_bytes"))
    for name in ODD_NAMES:
        for counts in (None, huge):
            for number in (None, -1e300, float("nan")):
                queue = _made(
                    Queue, name=name, counts=counts, status=name, accessed=number, created=number, **nothing
                )
                topic = _made(Topic, name=name, counts=counts, status=None, accessed=number, size_bytes=-1)
                below = _made(
                    Subscription, name=name, topic_name=name, counts=counts, status="", accessed=number
                )
                yield Snapshot(queues=[queue], topics=[topic], subscriptions=[below])


def _made(kind: Any, **values: Any) -> Any:
    """Return an entity with those of the values that are its fields; the others are as if missing in the response."""
    return kind(**{name: value for name, value in values.items() if name in kind.__struct_fields__})


def test_an_odd_entity_takes_no_page_away(
    objects: dict[str, Any], admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = Namespace.objects.get(pk=objects["namespace"])
    failed = []
    for number, snapshot in enumerate(_odd_snapshots()):
        result = scrape.Result(snapshot)
        monkeypatch.setattr(last_reading, "last", lambda target, result=result: result)
        pages = ["entities/", "exposition/", "exposition/?raw=1"]
        if number % 6 == 0:
            pages += ["rules/", *(f"entities/?sort={sort}" for sort in entity_table._KEYS)]
        for page in pages:
            answer = admin.get(f"/admin/exporters/namespace/{namespace.pk}/{page}")
            if answer.status_code != 200:
                failed.append(f"{answer.status_code} {page} {snapshot}"[:300])
    assert failed == []
    assert target_of(namespace)


def test_a_page_that_fails_names_its_request_and_logs_no_text(
    objects: dict[str, Any], admin: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(dashboard, "board", fail)
    before = _errors()
    with caplog.at_level(logging.INFO):
        answer = admin.get("/admin/", headers={"X-Request-ID": "the-request-7"})
    assert answer.status_code == 500
    assert "request_id=the-request-7" in answer.text
    assert _errors() == before + 1
    assert "Internal error (page): RuntimeError" in caplog.text
    assert "in fail" in caplog.text
    assert SECRET not in caplog.text


def test_the_history_of_what_referred_to_something_deleted_is_shown(db: None, admin: Client) -> None:
    team = Team.objects.create(name="gone")
    user = User.objects.create_user("left")
    identity = Credential.objects.create(name="hubs", kind=Credential.Kind.MANAGED_IDENTITY)
    grant = IdentityGrant.objects.create(
        credential=identity, team=team, hosts=["payments.servicebus.windows.net"]
    )
    member = Membership.objects.create(user=user, team=team)
    user.delete()
    assert admin.get(f"/admin/exporters/membership/{member.pk}/history/").status_code == 200
    grant_page = f"/admin/exporters/identitygrant/{grant.pk}/history/"
    before = admin.get(grant_page).status_code  # 404 if grants have no page of their own
    team.delete()
    identity.delete()
    assert admin.get(f"/admin/exporters/membership/{member.pk}/history/").status_code == 200
    assert admin.get(grant_page).status_code == before
    assert str(grant.history.latest().instance).startswith("credential number")
