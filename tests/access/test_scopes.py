"""A token grants access only to what its scope lists; removing an object never widens it."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.signals import pre_delete
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from exporters import hub_yaml
from exporters.configuration import loading
from exporters.configuration.targets import Grant
from exporters.discovery import targets
from exporters.models import Namespace, ScrapeToken, Team, WallLink

from . import people

ADMIN = "/admin/exporters"


def opened() -> dict[str, set[str]]:
    """Return the namespaces that each token of `given` opens in the compiled configuration."""
    configuration = loading.load()
    return {
        grant.name: {target.name for target in configuration.targets.values() if grant.opens(target)}
        for grant in configuration.grants.values()
        if grant.name.startswith("for-")
    }


def _token(name: str, team: Team | None, scope: str, *namespaces: Namespace) -> ScrapeToken:
    token = ScrapeToken(name=name, team=team, scope=scope)
    token.set_token(ScrapeToken.generate())
    token.full_clean()
    token.save()
    token.namespaces.set(namespaces)
    return token


def _make() -> dict[str, Any]:
    made = people.make()
    team = Team.objects.get(pk=made["team"])
    first, second, third = (
        Namespace.objects.create(name=f"n{number}", team=team, host=f"n{number}.servicebus.windows.net")
        for number in (1, 2, 3)
    )
    _token("for-two", team, "listed", first, second)
    _token("for-two-of-the-platform", None, "listed", first, second)
    _token("for-none", team, "listed")
    _token("for-the-team", team, "team")
    return made | {"first": first, "second": second, "third": third}


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return _make()


def _queryset_delete(objects: dict[str, Any]) -> None:
    Namespace.objects.filter(name__in=["n1", "n2"]).delete()


def _one_by_one(objects: dict[str, Any]) -> None:
    objects["first"].delete()
    objects["second"].delete()


def _action(objects: dict[str, Any]) -> None:
    chosen = [objects["first"].pk, objects["second"].pk]
    form = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    assert people.client("editor").post(f"{ADMIN}/namespace/", form).status_code == 302


def _team(objects: dict[str, Any]) -> None:
    Team.objects.get(pk=objects["team"]).delete()


def _teams(objects: dict[str, Any]) -> None:
    Team.objects.filter(pk=objects["team"]).delete()


def _move(objects: dict[str, Any]) -> None:
    Namespace.objects.filter(name__in=["n1", "n2"]).update(team_id=objects["other_team"])


WAYS = [_queryset_delete, _one_by_one, _action, _team, _teams, _move]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_what_a_token_loses_opens_nothing_else(
    objects: dict[str, Any], way: Callable[[dict[str, Any]], None]
) -> None:
    before = opened()
    assert before["for-two"] == before["for-two-of-the-platform"] == {"n1", "n2"}
    assert before["for-the-team"] == {"n1", "n2", "n3", "payments-bus"}
    way(objects)
    for name, names in opened().items():
        assert names <= before[name], name
    assert opened().get("for-two", set()) == set()
    assert opened()["for-two-of-the-platform"] == ({"n1", "n2"} if way is _move else set())


@pytest.mark.django_db(transaction=True)
def test_two_people_who_delete_a_namespace_each_widen_nothing() -> None:
    """On PostgreSQL, both read the tokens' lists before either has removed a namespace."""
    _make()
    both = threading.Barrier(2 if connection.vendor == "postgresql" else 1)
    failures: list[BaseException] = []

    def meet(**of_signal: Any) -> None:
        both.wait(timeout=30)

    def delete(name: str) -> None:
        try:
            with transaction.atomic():
                Namespace.objects.filter(name=name).delete()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    pre_delete.connect(meet, sender=Namespace)
    try:
        threads = [threading.Thread(target=delete, args=(name,)) for name in ("n1", "n2")]
        for thread in threads:
            thread.start()
            if connection.vendor != "postgresql":
                thread.join()  # SQLite has one writer at a time
        for thread in threads:
            thread.join()
    finally:
        pre_delete.disconnect(meet, sender=Namespace)
    assert failures == []
    assert not Namespace.objects.filter(name__in=["n1", "n2"]).exists()
    assert opened()["for-two"] == opened()["for-two-of-the-platform"] == set()


def test_names_that_change_hands_while_the_configuration_is_read_open_nothing(
    objects: dict[str, Any],
) -> None:
    _token("for-the-others", Team.objects.get(pk=objects["other_team"]), "team")
    _token("for-three", None, "listed", objects["third"])
    renamed: list[int] = []

    def rename(execute: Any, sql: str, *arguments: Any) -> Any:
        if "exporters_scrapetoken" in sql and not renamed:
            renamed.append(1)
            for model, names in ((Team, ("payments-team", "orders-team")), (Namespace, ("n1", "n3"))):
                mine, other = (model._default_manager.get(name=name).pk for name in names)
                for pk, name in ((mine, "former"), (other, names[0])):
                    model._default_manager.filter(pk=pk).update(name=name)
        return execute(sql, *arguments)

    with connection.execute_wrapper(rename):
        found = opened()
    assert renamed
    assert found["for-the-others"] == {"orders-bus"}
    assert found["for-three"] == {"n3"}


def test_a_token_that_opens_nothing_says_so(objects: dict[str, Any]) -> None:
    token = ScrapeToken.objects.get(name="for-none")
    assert token.opens == "no namespaces"
    assert "no namespaces" in people.client("viewer").get(f"{ADMIN}/scrapetoken/?q=for-none").text
    page = people.client("viewer").get(f"{ADMIN}/scrapetoken/{token.pk}/change/").text
    assert "none: no access" in page


def test_a_token_whose_namespace_moved_away_stays_limited(objects: dict[str, Any]) -> None:
    token = ScrapeToken.objects.get(name="for-two")
    token.namespaces.set([objects["first"]])
    Namespace.objects.filter(name="n1").update(team_id=objects["other_team"])
    form = {"name": "for-two", "scope": "listed", "expires_at_0": "2090-01-01", "expires_at_1": "12:00"}
    for who in ("editor", "admin"):
        # The editor's page doesn't show the namespace; the administrator's does and sends it back.
        sent = form | ({"namespaces": [objects["first"].pk]} if who == "admin" else {})
        answer = people.client(who).post(f"{ADMIN}/scrapetoken/{token.pk}/change/", sent)
        assert answer.status_code == 302, answer.context["adminform"].form.errors
        token.refresh_from_db()
        assert token.expires_at is not None
        assert list(token.namespaces.all()) == [objects["first"]]
        assert opened()["for-two"] == set()
    assert token.opens == "no namespaces"


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "scope"),
        ({"scope": ""}, "scope"),
        ({"scope": "everything"}, "scope"),
        ({"scope": "team"}, "team"),
        ({"scope": "all_teams", "team": "{team}"}, "scope"),
        ({"scope": "team", "team": "{team}", "namespaces": "{namespace}"}, "namespaces"),
        ({"scope": "all_teams", "namespaces": "{namespace}"}, "namespaces"),
    ],
)
def test_a_form_that_leaves_open_what_a_token_opens_is_refused(
    objects: dict[str, Any], fields: dict[str, str], wrong: str
) -> None:
    form = {"name": "new"} | {name: value.format(**objects) for name, value in fields.items()}
    answer = people.client("admin").post(f"{ADMIN}/scrapetoken/add/", form)
    assert wrong in answer.context["adminform"].form.errors
    assert not ScrapeToken.objects.filter(name="new").exists()


@pytest.mark.parametrize("model", ["scrapetoken", "walllink"])
def test_only_a_platform_administrator_opens_all_teams(objects: dict[str, Any], model: str) -> None:
    form = {"name": "new", "scope": "all_teams", "expires_at_0": "2090-01-01", "expires_at_1": "12:00"}
    answer = people.client("owner").post(f"{ADMIN}/{model}/add/", form)
    assert "scope" in answer.context["adminform"].form.errors
    assert "all teams" in people.client("admin").post(f"{ADMIN}/{model}/add/", form).context["original"].opens


@pytest.mark.parametrize("kind", [ScrapeToken, WallLink])
@pytest.mark.parametrize(
    ("scope", "with_team"), [("", True), ("", False), ("team", False), ("all_teams", True)]
)
def test_the_database_refuses_a_scope_that_says_nothing(
    objects: dict[str, Any], kind: type[ScrapeToken] | type[WallLink], scope: str, with_team: bool
) -> None:
    made = kind(name="new", scope=scope, team_id=objects["team"] if with_team else None)
    made.set_token("x" * 30)
    with pytest.raises(IntegrityError), transaction.atomic():
        made.save()


def _entry(text: str) -> str:
    return f"tokens:\n  - {{name: new, token: {{env: SCOPES_TOKEN}}{text}}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Give the token's scope"),
        (", scope:", "Give the token's scope"),
        (", scope: all", "Give the token's scope"),
        (", team: payments-team, namespaces: [n1]", "Give the token's scope"),
        (", scope: team", "Choose the team"),
        (", scope: all_teams, team: payments-team", "Leave the team empty"),
        (", scope: team, team: payments-team, namespaces: [n1]", "use `scope: listed`"),
        (", scope: listed, team: orders-team, namespaces: [n1]", "belongs to team “payments-team”"),
    ],
)
def test_a_file_that_leaves_it_open_is_refused(
    objects: dict[str, Any], monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setenv("SCOPES_TOKEN", "x" * 30)
    found = hub_yaml.plan(_entry(text)).messages()
    assert len(found) == 1
    assert message in found[0]


def test_a_file_may_list_nothing_and_its_export_says_the_same(
    objects: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOPES_TOKEN", "x" * 30)
    text = _entry(", scope: listed, team: payments-team, namespaces: []")
    hub_yaml.apply(hub_yaml.plan(text))
    assert ScrapeToken.objects.get(name="new").opens == "no namespaces"
    assert not hub_yaml.plan(text).changes
    assert not hub_yaml.plan(hub_yaml.export()).changes
    assert hub_yaml.export().count("scope: ") == ScrapeToken.objects.count()


def test_what_the_history_says_of_a_wider_scope(objects: dict[str, Any]) -> None:
    token = ScrapeToken.objects.get(name="for-none")
    form = {"name": token.name, "scope": "team"}
    assert people.client("editor").post(f"{ADMIN}/scrapetoken/{token.pk}/change/", form).status_code == 302
    text = people.client("viewer").get(f"{ADMIN}/scrapetoken/{token.pk}/history/").text
    assert "listed" in text.lower()
    assert token.history.first().scope == "team"


@pytest.mark.parametrize("scope", ["", "all", "unknown"])
def test_a_grant_without_a_known_scope_opens_nothing(objects: dict[str, Any], scope: str) -> None:
    target = loading.load().targets["n1"]
    grant = Grant(0, "x", "", scope, None, frozenset(), None)
    assert not grant.opens(target)


def test_discovery_tells_a_limited_token_of_no_other_team(objects: dict[str, Any]) -> None:
    configuration = loading.load()
    (grant,) = (each for each in configuration.grants.values() if each.name == "for-two-of-the-platform")
    assert len(targets.groups(configuration, grant, "payments-team")) == 2
    for team in ("orders-team", "no-such-team"):
        with pytest.raises(targets.UnknownTeamError):
            targets.groups(configuration, grant, team)


def _edit(objects: dict[str, Any], who: str, token: ScrapeToken) -> None:
    """Save a token's form as the browser sends it back, with another expiry."""
    address = f"{ADMIN}/scrapetoken/{token.pk}/change/"
    page = people.client(who).get(address)
    if page.status_code != 200:
        return
    form = page.context["adminform"].form
    offered = form.fields["namespaces"].queryset.values_list("pk", flat=True)
    shown = [each.pk for each in form.initial["namespaces"] if each.pk in offered]
    sent = {"name": token.name, "scope": token.scope, "namespaces": shown}
    sent |= {"expires_at_0": "2090-01-01", "expires_at_1": "12:00"}
    assert people.client(who).post(address, sent).status_code == 302


STEPS = ["delete", "delete in bulk", "move", "move back", "delete the team", "edit", "edit as admin", "apply"]


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.data())
@pytest.mark.django_db
def test_whatever_happens_a_limited_token_opens_what_it_was_given_at_most(data: st.DataObject) -> None:
    with transaction.atomic():
        objects = _make()
        given = {"for-two": {"n1", "n2"}, "for-two-of-the-platform": {"n1", "n2"}, "for-none": set()}
        for step in data.draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=5)):
            names = data.draw(st.lists(st.sampled_from(["n1", "n2", "n3", "payments-bus"]), max_size=3))
            found = Namespace.objects.filter(name__in=names)
            match step:
                case "delete":
                    for each in found:
                        each.delete()
                case "delete in bulk":
                    found.delete()
                case "move" | "move back":
                    team = Team.objects.filter(pk=objects["other_team" if step == "move" else "team"]).first()
                    for each in found if team else ():
                        each.team = team
                        each.save()
                case "delete the team":
                    Team.objects.filter(pk=objects["team"]).delete()
                case "edit" | "edit as admin":
                    for token in ScrapeToken.objects.filter(name__in=given):
                        _edit(objects, "editor" if step == "edit" else "admin", token)
                case "apply":
                    plan = hub_yaml.plan(hub_yaml.export())
                    assert (plan.messages(), plan.changes) == ([], ())
            for name, names_opened in opened().items():
                if name in given:
                    assert names_opened <= given[name], (step, name)
        transaction.set_rollback(True)
