"""Viewing a page writes nothing and takes no lock: every GET in the permissions table, and every preview."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from exporters import hub_yaml
from exporters.configuration.reloader import reloader
from tests.access import people
from tests.access.table import cases

NAMESPACE = "/admin/exporters/namespace"


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    reloader.forget()
    return people.make()


@contextmanager
def _statements(wanted: Callable[[str], bool]) -> Iterator[list[str]]:
    found: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if wanted(sql):
            found.append(sql[:200])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found


def _locks(sql: str) -> bool:
    # A page removes the messages that it shows from the session; nobody else waits for that row.
    return (
        not sql.lstrip(" \n(").startswith("SELECT") or "FOR UPDATE" in sql
    ) and "django_session" not in sql


@pytest.mark.parametrize("who", ["anonymous", "viewer", "owner", "other-editor", "admin", "token"])
def test_no_page_that_is_looked_at_writes(objects: dict[str, Any], who: str) -> None:
    client = people.client(who)
    written = []
    for case in cases():
        if case.user != who or case.method != "GET":
            continue
        with _statements(_locks) as found:
            answer = client.get(case.url.format(**objects))
            if hasattr(answer, "streaming_content"):
                b"".join(answer.streaming_content)
        written += [f"{case.url}: {sql}" for sql in found]
    assert written == []


@pytest.mark.parametrize("user", ["viewer", "admin"])
def test_no_preview_writes(objects: dict[str, Any], user: str) -> None:
    client = people.client(user)
    page = f"{NAMESPACE}/{objects['namespace']}/rules/"
    rule = {"rows": "1", "rule-0-action": "drop", "rule-0-regex": "x", "rule-0-source_labels": "name"}
    with _statements(_locks) as found:
        assert client.post(page, {**rule, "do": "try"}).status_code == 200
        assert (
            client.post(page, {**rule, "do": "import", "pasted": "- action: drop\n  regex: x"}).status_code
            == 200
        )
        if user == "admin":
            answer = client.post(f"{NAMESPACE}/import/", {"do": "plan", "text": _file(20)})
            assert len(answer.context["plan"].changes) == 22
            client.post(f"{NAMESPACE}/new/", {"do": "parse", "connection_string": "Endpoint=sb://x.example/"})
    assert found == []


def _file(count: int, concurrency: int = 4) -> str:
    credential = "{name: key, team: new, kind: connection_string, secret: {env: A_SECRET_OF_A_FILE}}"
    spaces = [
        f"  - {{name: ns-{number}, team: new, credential: key, limits: {{concurrency: {concurrency}}}}}"
        for number in range(count)
    ]
    lines = ["teams:", "  - name: new", "credentials:", f"  - {credential}", "namespaces:", *spaces]
    return "\n".join(lines)


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "A_SECRET_OF_A_FILE",
        "Endpoint=sb://new.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=bm90IGEga2V5",
    )


def test_a_plan_asks_the_database_as_often_for_many_namespaces_as_for_few(db: None) -> None:
    asked = []
    for count in (5, 60):
        with _statements(lambda sql: True) as found:
            plan = hub_yaml.plan(_file(count))
        assert plan.messages() == []
        asked.append(len(found))
    assert asked[0] == asked[1] < 15
    hub_yaml.apply(plan)
    with _statements(lambda sql: True) as found:
        assert len(hub_yaml.plan(_file(60, concurrency=5)).changes) == 60
    assert len(found) == asked[0]


def test_an_application_counts_as_one_change_and_a_change_meanwhile_is_noticed(db: None) -> None:
    from exporters.models import ConfigurationVersion, Namespace

    plan = hub_yaml.plan(_file(30))
    before = ConfigurationVersion.read().number
    hub_yaml.apply(plan)
    assert ConfigurationVersion.read().number == before + 1
    hub_yaml.apply(hub_yaml.plan(_file(30)))
    assert ConfigurationVersion.read().number == before + 1
    outdated = hub_yaml.plan(_file(30, concurrency=5))
    Namespace.objects.get(name="ns-7").delete()
    with pytest.raises(hub_yaml.PlanOutdatedError):
        hub_yaml.apply(outdated)
