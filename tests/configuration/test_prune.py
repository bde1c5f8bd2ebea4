"""Objects that came from an earlier hub.yaml and are missing from the present one."""

from typing import Any

import pytest

from exporters.models import Credential, LabelRule, Membership, Namespace, ScrapeToken, Team

from .conftest import apply, errors

pytestmark = pytest.mark.django_db


def test_nothing_is_deleted_without_prune_but_it_is_named(whole: str) -> None:
    apply(whole)
    plan = apply("teams:\n  - name: payments\n    description: Cards and invoices\n")
    assert plan.changes == ()
    assert "namespace payments-prod" in plan.kept
    assert len(plan.kept) == 10
    assert Namespace.objects.count() == 2


def test_prune_deletes_what_the_file_brought_and_no_longer_names(whole: str) -> None:
    apply(whole)
    plan = apply("teams:\n  - name: payments\n    description: Cards and invoices\n", prune=True)
    assert {change.action for change in plan.changes} == {"deleted"}
    assert Team.objects.count() == 1
    assert not any(model.objects.exists() for model in (Credential, Namespace, LabelRule, ScrapeToken))
    last = Namespace.history.filter(name="payments-prod").first()
    assert (last.history_type, last.history_change_reason) == ("-", "no longer in hub.yaml")


def test_prune_never_deletes_what_was_made_in_the_admin(namespace: Namespace) -> None:
    assert apply("", prune=True).changes == ()
    assert Namespace.objects.get() == namespace


def test_prune_refuses_to_take_objects_of_the_admin_with_it(namespace: Namespace) -> None:
    Team.objects.update(source="file")
    assert errors("", prune=True) == [
        "hub.yaml: Team payments is no longer in the file, but these objects were added in the admin and would be "
        "deleted with it: credential payments-manage, namespace payments-prod. Move or delete them there first."
    ]


def test_prune_names_who_still_uses_a_credential(namespace: Namespace) -> None:
    Credential.objects.update(source="file")
    assert errors("", prune=True) == [
        "hub.yaml: Credential payments-manage is no longer in the file, but is still used by namespace "
        "payments-prod."
    ]


def test_prune_says_how_many_members_a_team_loses(django_user_model: Any, team: Team) -> None:
    Team.objects.update(source="file")
    Membership.objects.create(team=team, user=django_user_model.objects.create_user("ada"))
    assert [str(change) for change in apply("", prune=True).changes] == [
        "- team payments\n    members: 1 -> 0"
    ]


def test_what_a_token_loses_with_a_pruned_namespace_is_said(namespace: Namespace) -> None:
    Namespace.objects.update(source="file")
    token = ScrapeToken(name="prometheus", team=namespace.team, scope="listed")
    token.set_token(ScrapeToken.generate())
    token.save()
    token.namespaces.add(namespace)
    plan = apply("", prune=True)
    assert [str(change) for change in plan.changes] == [
        "- namespace payments-prod",
        "~ token payments/prometheus\n    namespaces: [payments-prod] -> []",
    ]
