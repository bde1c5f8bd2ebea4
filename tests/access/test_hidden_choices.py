"""A form offers what its user may choose, and keeps what it doesn't show."""

from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import ForeignKey, ManyToManyField
from django.test import RequestFactory

from exporters.access import roles
from exporters.admin.hidden_choices import KeepsHidden
from exporters.models import Credential, IdentityGrant, Membership, Namespace, ScrapeToken

from . import people

ADMIN = "/admin/exporters"


@pytest.fixture
def objects(db: None) -> dict[str, Any]:
    return people.make()


def _forms_of(who: str) -> list[tuple[str, type[forms.ModelForm], Any]]:
    """Return every form that the admin shows this user for a stored object, including inlines."""
    request = RequestFactory().get("/")
    request.user = User.objects.get(username=who)
    request.session = {}  # type: ignore[assignment]
    found = []
    for model, screen in admin.site._registry.items():
        if model not in roles.RULES:
            continue
        stored = roles.changeable(request.user, model._default_manager.all()).first()
        if stored is None or not screen.has_change_permission(request, stored):
            continue
        found.append((model.__name__, screen.get_form(request, stored, change=True), stored))
        for formset, inline in screen.get_formsets_with_inlines(request, stored):
            if inline.has_change_permission(request, stored):
                found.append((type(inline).__name__, formset.form, None))
    return found


@pytest.mark.parametrize("who", ["editor", "owner"])
def test_every_form_with_limited_choices_keeps_what_it_hides(objects: dict[str, Any], who: str) -> None:
    shown = _forms_of(who)
    assert {"Namespace", "ScrapeToken", "LabelRule"} <= {name for name, _, _ in shown}
    for name, form, _ in shown:
        related = [
            field.name
            for field in form._meta.model._meta.get_fields()
            if isinstance(field, ForeignKey | ManyToManyField) and field.name in form.base_fields
        ]
        assert not related or issubclass(form, KeepsHidden), f"{name} ({who}): {related}"


def test_a_namespace_keeps_a_credential_whose_grant_ended(objects: dict[str, Any]) -> None:
    identity = Credential.objects.create(name="hub-identity", kind=Credential.Kind.MANAGED_IDENTITY)
    namespace = Namespace.objects.get(pk=objects["namespace"])
    namespace.credential = identity
    namespace.save()
    form = _namespace_form(namespace) | {"credential": ""}
    answer = people.client("editor").post(f"{ADMIN}/namespace/{namespace.pk}/change/", form)
    # It is not dropped silently; the form shows the problem.
    assert "not granted" in answer.context["adminform"].form.errors["credential"][0]
    namespace.refresh_from_db()
    assert namespace.credential == identity
    IdentityGrant.objects.create(credential=identity, team_id=objects["team"], hosts=[namespace.host])
    assert people.client("editor").post(f"{ADMIN}/namespace/{namespace.pk}/change/", form).status_code == 302
    namespace.refresh_from_db()
    assert namespace.credential is None, "what the form shows can be taken away"


def test_a_token_keeps_namespaces_of_teams_that_an_administrator_alone_sees(objects: dict[str, Any]) -> None:
    token = ScrapeToken.objects.get(pk=objects["token"])
    theirs, own = (
        Namespace.objects.get(pk=objects["other_namespace"]),
        Namespace.objects.get(name="payments-bus"),
    )
    token.scope = ScrapeToken.Scope.LISTED
    token.save()
    token.namespaces.set([theirs, own])
    form = {"name": "renamed", "scope": "listed", "namespaces": [own.pk]}
    assert people.client("editor").post(f"{ADMIN}/scrapetoken/{token.pk}/change/", form).status_code == 302
    assert set(token.namespaces.all()) == {theirs, own}
    form["namespaces"] = []
    assert people.client("editor").post(f"{ADMIN}/scrapetoken/{token.pk}/change/", form).status_code == 302
    assert set(token.namespaces.all()) == {theirs}


def test_a_token_for_the_whole_team_forgets_its_list(objects: dict[str, Any]) -> None:
    token = ScrapeToken.objects.get(pk=objects["token"])
    token.scope = ScrapeToken.Scope.LISTED
    token.save()
    token.namespaces.set([objects["other_namespace"]])
    form = {"name": "renamed", "scope": "team"}
    assert people.client("editor").post(f"{ADMIN}/scrapetoken/{token.pk}/change/", form).status_code == 302
    assert not token.namespaces.exists()


def test_a_member_who_is_deactivated_stays_one(objects: dict[str, Any]) -> None:
    User.objects.filter(username="viewer").update(is_active=False)
    member = Membership.objects.get(pk=objects["member"])
    form = {"user": "viewer", "team": objects["team"], "role": "editor"}
    answer = people.client("owner").post(f"{ADMIN}/membership/{member.pk}/change/", form)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    member.refresh_from_db()
    assert (member.user.username, member.role) == ("viewer", "editor")
    table = {
        "description": "new",
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "1",
        "memberships-0-id": str(member.pk),
        "memberships-0-team": str(objects["team"]),
        "memberships-0-user": "viewer",
        "memberships-0-role": "editor",
    }
    answer = people.client("owner").post(f"{ADMIN}/team/{objects['team']}/change/", table)
    assert answer.status_code == 302, answer.context["errors"]


def _namespace_form(namespace: Namespace) -> dict[str, Any]:
    return {
        "name": namespace.name,
        "team": namespace.team_id,
        "host": namespace.host,
        "enabled": "on",
        "concurrency": 16,
        "timeout_seconds": 9.5,
        "cache_seconds": 0,
        "max_age_seconds": 300,
        "max_entities": 20_000,
        "metric_groups": ["counts"],
    }
