"""Reading only what changed gives the same configuration as reading everything, whatever the change."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import RestrictedError
from django.test import Client

from exporters import hub_yaml
from exporters.configuration import loading
from exporters.configuration.loaded import Loaded
from exporters.configuration.loading import everything, read
from exporters.models import (
    ConfigurationChange,
    ConfigurationVersion,
    Credential,
    IdentityGrant,
    LabelRule,
    Namespace,
    ScrapeToken,
    Team,
)
from exporters.models import version as versions

HOSTS = [f"{name}.servicebus.windows.net" for name in ("a", "b", "c")]
SECRET = "Endpoint=sb://{}/;SharedAccessKeyName=k;SharedAccessKey={}"
FILE = """
teams: [{{name: filed, description: "{number}"}}]
credentials:
  - {{name: filed-key, team: filed, kind: connection_string, secret: {{file: {file}}}}}
  - {{name: identity, kind: managed_identity, grants: [{{team: filed, hosts: ["{host}"]}}]}}
namespaces:
  - {{name: filed-a, team: filed, credential: filed-key}}
  - {{name: filed-b, team: filed, credential: identity, host: "{host}"}}
label_rules: [{{namespace: filed-a, target_label: x, replacement: "{number}"}}]
tokens: [{{name: filed, team: filed, scope: listed, namespaces: [filed-a], token: {{file: {file}}}}}]
"""


def read_again(known: Loaded) -> Loaded:
    return read(known, lambda: None, look_at_references=True)


def differences(one: Loaded, other: Loaded) -> list[str]:
    """Return the parts that differ, including the order of targets."""
    names = [each.name for each in fields(Loaded) if getattr(one, each.name) != getattr(other, each.name)]
    if list(one.configuration.targets) != list(other.configuration.targets):
        names.append("order")
    return names


class Changes:
    """Random changes of every kind; a change that the models refuse has no effect."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.number = 0
        self.file = folder / "secret"
        self.file.write_text(SECRET.format(HOSTS[0], "filed"))
        self.admin = Client()
        self.admin.force_login(
            User.objects.create(username="admin", is_superuser=True, is_staff=True),
            backend="django.contrib.auth.backends.ModelBackend",
        )

    def make(self) -> str:
        """Make one change; return its name."""
        ways: list[Callable[[], object]] = [
            getattr(self, name) for name in dir(self) if name.startswith("_do_")
        ]
        way = self.chance.choice(ways)
        self.number += 1
        # If the change conflicts with the history's foreign keys or a name is taken, nothing is changed.
        with (
            suppress(IntegrityError, RestrictedError, ValidationError, hub_yaml.ConfigError),
            transaction.atomic(),
        ):
            way()
        return f"{self.number}: {way.__name__}"

    def any(self, model: Any, *, may_be_none: bool = False) -> Any:
        found = list(model.objects.order_by("pk"))
        return self.chance.choice([*found, *([None] if may_be_none or not found else [])])

    def name(self) -> str:
        return f"n{self.chance.randrange(12)}"

    def save(self, item: Any, **values: Any) -> None:
        if item is None:
            return
        for name, value in values.items():
            setattr(item, name, value)
        item.save()

    def delete(self, item: Any) -> None:
        if item is not None:
            item.delete()

    def _do_team(self) -> None:
        self.save(Team(), name=self.name())

    def _do_team_renamed(self) -> None:
        self.save(self.any(Team), name=self.name())

    def _do_team_deleted(self) -> None:
        if self.chance.random() < 0.3:
            self.delete(self.any(Team))

    def _do_credential(self) -> None:
        team = self.any(Team)
        secret = SECRET.format(self.chance.choice(HOSTS), self.number)
        self.save(Credential(), name=self.name(), team=team, secret=secret, hosts=HOSTS[: self.number % 3])

    def _do_identity(self) -> None:
        self.save(Credential(), name=self.name(), kind="managed_identity")

    def _do_reference(self) -> None:
        self.save(
            Credential(), name=self.name(), team=self.any(Team), secret_reference={"file": str(self.file)}
        )

    def _do_credential_changed(self) -> None:
        item = self.any(Credential)
        new = {"secret": SECRET.format(self.chance.choice(HOSTS), self.number)}
        others: list[dict[str, Any]] = [
            {"name": self.name()},
            {"team": self.any(Team, may_be_none=True)},
            {"hosts": HOSTS[: self.number % 3]},
            {"spare_secret": new["secret"]},
        ]
        self.save(item, **self.chance.choice([new, *others]))

    def _do_credential_deleted(self) -> None:
        self.delete(self.any(Credential))

    def _do_host_allowed(self) -> None:
        if item := self.any(Credential):
            item.allow_host(self.chance.choice(HOSTS))

    def _do_grant(self) -> None:
        if (item := self.any(Credential)) and (team := self.any(Team)):
            self.save(IdentityGrant(), credential=item, team=team, hosts=[self.chance.choice(HOSTS)])

    def _do_grant_changed(self) -> None:
        change = {"credential": self.any(Credential)} if self.chance.random() < 0.5 else {"hosts": HOSTS[:1]}
        self.save(self.any(IdentityGrant), **change)

    def _do_grant_deleted(self) -> None:
        self.delete(self.any(IdentityGrant))

    def _do_namespace(self) -> None:
        if team := self.any(Team):
            host = self.chance.choice(["", *HOSTS])
            self.save(Namespace(), name=self.name(), team=team, credential=self.any(Credential), host=host)

    def _do_namespace_changed(self) -> None:
        change: list[dict[str, Any]] = [
            {"name": self.name()},
            {"team": self.any(Team)},
            {"credential": self.any(Credential, may_be_none=True)},
            {"enabled": self.chance.random() < 0.5},
            {"labels": {"number": str(self.number)}},
        ]
        self.save(self.any(Namespace), **self.chance.choice(change))

    def _do_namespace_deleted(self) -> None:
        self.delete(self.any(Namespace))

    def _do_names_swapped(self) -> None:
        one, other = self.any(Namespace), self.any(Namespace)
        if one is not None and one != other:
            first, second = one.name, other.name
            for item, name in ((one, "between"), (other, first), (one, second)):
                self.save(item, name=name)

    def _do_rule(self) -> None:
        scope = self.chance.choice([{"team": self.any(Team)}, {"namespace": self.any(Namespace)}])
        self.save(LabelRule(), target_label="x", replacement=str(self.number), **scope)

    def _do_rule_changed(self) -> None:
        change = self.chance.choice(
            [{"replacement": str(self.number)}, {"position": self.number}, {"team": self.any(Team)}]
        )
        self.save(self.any(LabelRule), **change)

    def _do_rule_moved(self) -> None:
        self.save(self.any(LabelRule), namespace=self.any(Namespace, may_be_none=True))

    def _do_rule_deleted(self) -> None:
        self.delete(self.any(LabelRule))

    def _do_token(self) -> None:
        team = self.any(Team, may_be_none=True)
        token = ScrapeToken(
            name=self.name(), team=team, scope=self.chance.choice(["listed", "team", "all_teams"])
        )
        token.clean_scope()
        token.set_token(ScrapeToken.generate())
        token.save()

    def _do_list(self) -> None:
        token, namespace = self.any(ScrapeToken), self.any(Namespace)
        if token is None or namespace is None:
            return
        ways: list[Callable[[], object]] = [
            lambda: token.namespaces.add(namespace),
            lambda: token.namespaces.remove(namespace),
            lambda: token.namespaces.set([namespace]),
            lambda: token.namespaces.clear(),
            lambda: namespace.tokens.add(token),
            lambda: namespace.tokens.clear(),
            lambda: namespace.tokens.set([token]),
        ]
        self.chance.choice(ways)()

    def _do_token_revoked(self) -> None:
        if token := self.any(ScrapeToken):
            token.revoke("by chance")

    def _do_token_deleted(self) -> None:
        self.delete(self.any(ScrapeToken))

    def _do_admins_pause(self) -> None:
        chosen = [each.pk for each in (self.any(Namespace), self.any(Namespace)) if each is not None]
        action = self.chance.choice(["pause", "resume"])
        self.admin.post(
            "/admin/exporters/namespace/", {"action": action, "_selected_action": [str(pk) for pk in chosen]}
        )

    def _do_admins_deletion(self) -> None:
        model = self.chance.choice(["namespace", "credential", "labelrule", "scrapetoken"])
        models = {"namespace": Namespace, "credential": Credential, "labelrule": LabelRule}
        found = self.any(models.get(model, ScrapeToken))
        if found is not None:
            self.admin.post(f"/admin/exporters/{model}/{found.pk}/delete/", {"post": "yes"})

    def _do_file(self) -> None:
        text = FILE.format(number=self.number, file=self.file, host=self.chance.choice(HOSTS))
        hub_yaml.apply(hub_yaml.plan(text))

    def _do_file_without_anything(self) -> None:
        hub_yaml.apply(hub_yaml.plan("", prune=True))

    def _do_secret_file(self) -> None:
        self.file.write_text(SECRET.format(self.chance.choice(HOSTS), f"file{self.number}"))

    def _do_secret_file_gone(self) -> None:
        self.file.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(12))
def test_any_changes_lead_to_what_is_stored(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = Changes(seed, tmp_path)
    whole = 0

    def counted(*arguments: Any) -> Loaded:
        nonlocal whole
        whole += 1
        return everything(*arguments)

    monkeypatch.setattr(loading, "everything", counted)
    for number in range(3):
        Team.objects.create(name=f"team-{number}")
    for _ in range(20):
        changes.make()
    loaded, steps, made = everything(), 0, []
    for _ in range(60):
        made = [changes.make() for _ in range(changes.chance.randrange(1, 4))]
        loaded = read_again(loaded)
        steps += 1
        assert differences(loaded, everything()) == [], (made, whole)
    assert whole < steps / 2, "most changes are read alone"


@pytest.fixture
def known(db: None) -> Loaded:
    team = Team.objects.create(name="payments")
    for name in ("one", "two"):
        Namespace.objects.create(name=name, team=team)
    return everything()


def rename(name: str, new: str) -> None:
    namespace = Namespace.objects.get(name=name)
    namespace.name = new
    namespace.save()


def test_what_did_not_change_is_not_read_again(known: Loaded) -> None:
    rename("one", "first")
    loaded = read_again(known)
    assert list(loaded.configuration.targets) == ["first", "two"]
    assert loaded.configuration.targets["two"] is known.configuration.targets["two"]
    assert read_again(loaded) is loaded


def test_a_process_that_is_too_far_behind_reads_everything(
    known: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename("one", "first")
    rename("two", "second")
    ConfigurationChange.objects.filter(version=known.version.number).delete()
    assert list(read_again(known).configuration.targets) == ["first", "second"]
    monkeypatch.setattr(versions, "MAX_KEPT_CHANGES", 3)
    for _ in range(10):
        rename("first", "again")
        rename("again", "first")
    ConfigurationChange.prune()
    assert ConfigurationChange.objects.count() == 3


def test_a_backup_that_was_restored_and_has_the_same_number_by_now_is_read(known: Loaded) -> None:
    rename("one", "first")
    before = read_again(known)
    # The state after a backup of the former state was restored and something else was changed.
    ConfigurationChange.objects.filter(version=before.version.number).delete()
    Namespace.objects.filter(name="first").update(name="one")
    ConfigurationVersion.objects.update(number=known.version.number, mark=known.version.mark)
    rename("two", "second")
    assert ConfigurationVersion.read().number == before.version.number
    assert list(read_again(before).configuration.targets) == ["one", "second"]


def test_very_many_changes_of_one_version_are_noted_as_everything(
    known: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "MAX_CHANGES_OF_A_VERSION", 2)
    before = ConfigurationChange.objects.count()
    hub_yaml.apply(hub_yaml.plan("teams: [{name: a}, {name: b}, {name: c}]"))
    assert ConfigurationChange.objects.count() == before + 1
    assert {"a", "b", "c"} < read_again(known).configuration.teams


def test_a_change_of_the_encryption_keys_has_everything_read(known: Loaded, settings: Any) -> None:
    settings.HUB_ENCRYPTION_KEYS = ["A" * 43 + "="]
    assert read_again(known) is not known


def test_a_file_that_changed_is_read_without_the_others(known: Loaded, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET.format(HOSTS[0], "old"))
    team = Team.objects.get()
    credential = Credential.objects.create(name="key", team=team, secret_reference={"file": str(secret)})
    Namespace.objects.create(name="three", team=team, credential=credential)
    loaded = read_again(known)
    secret.write_text(SECRET.format(HOSTS[0], "newer"))
    assert read(loaded, lambda: None, look_at_references=False) is loaded
    after = read_again(loaded)
    assert after.configuration.targets["three"].credential.secret.endswith("=newer")  # type: ignore[union-attr]
    assert after.configuration.targets["one"] is loaded.configuration.targets["one"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", [Team, Credential, IdentityGrant, Namespace, LabelRule, ScrapeToken])
def test_an_object_is_saved_in_one_transaction_with_its_version(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Team.objects.create(name="payments")
    items = {
        Team: lambda: Team(name="orders"),
        Credential: lambda: Credential(name="key", team=team, secret="s"),
        IdentityGrant: lambda: IdentityGrant(
            credential=Credential.objects.create(name="identity", kind="managed_identity"), team=team
        ),
        Namespace: lambda: Namespace(name="one", team=team),
        LabelRule: lambda: LabelRule(team=team),
        ScrapeToken: lambda: ScrapeToken(name="token", team=team, scope="team"),
    }
    item = items[model]()

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ConfigurationVersion, "bump", killed)
    with pytest.raises(KeyboardInterrupt):
        item.save()
    assert not model.objects.filter(**({"name": item.name} if hasattr(item, "name") else {})).exists()
