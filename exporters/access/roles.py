"""Permissions: who may see and change what. Every query made on behalf of a user goes through here.

A user acts through memberships: viewer, editor or owner of a team. A platform administrator (superuser) runs the hub
and may do everything. Objects that a user may not see are absent from every queryset, so another team's object looks
the same as one that does not exist.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model, Q, QuerySet

from ..models import Credential, IdentityGrant, LabelRule, Membership, Namespace, ScrapeToken, Team, WallLink

Role = Membership.Role
User = AbstractBaseUser | AnonymousUser
M = TypeVar("M", bound=Model)

# From least to most privileged. Each role includes the ones before it.
_RANK = {Role.VIEWER: 0, Role.EDITOR: 1, Role.OWNER: 2}


@dataclass(frozen=True, slots=True)
class Rule:
    """How a model belongs to a team, and the role that each action requires. None: platform administrators only."""

    team: str | None  # lookup of the team's primary key; None: it belongs to no team
    view: Role | None
    change: Role | None
    add: Role | None
    delete: Role | None


RULES: dict[type[Model], Rule] = {
    Team: Rule("pk", Role.VIEWER, Role.OWNER, None, None),
    # Within a team, everyone may see its members and their roles.
    Membership: Rule("team", Role.VIEWER, Role.OWNER, Role.OWNER, Role.OWNER),
    Credential: Rule("team", Role.VIEWER, Role.OWNER, Role.OWNER, Role.OWNER),
    IdentityGrant: Rule("team", Role.VIEWER, None, None, None),
    Namespace: Rule("team", Role.VIEWER, Role.EDITOR, Role.EDITOR, Role.EDITOR),
    LabelRule: Rule("team", Role.VIEWER, Role.EDITOR, Role.EDITOR, Role.EDITOR),
    WallLink: Rule("team", Role.VIEWER, Role.EDITOR, Role.EDITOR, Role.EDITOR),
    ScrapeToken: Rule("team", Role.VIEWER, Role.EDITOR, Role.EDITOR, Role.EDITOR),
    get_user_model(): Rule(None, None, None, None, None),
}


def is_platform_administrator(user: User) -> bool:
    return bool(user.is_active and getattr(user, "is_superuser", False))


def may_sign_in(user: User) -> bool:
    """Return whether the user may use the admin: platform administrators and members of teams may."""
    if not user.is_active or user.pk is None:
        return False
    return is_platform_administrator(user) or Membership.objects.filter(user=user.pk).exists()


def teams(user: User, role: Role = Role.VIEWER) -> QuerySet[Team]:
    """Return the teams in which the user has this role or a higher one."""
    if is_platform_administrator(user):
        return Team.objects.all()
    if not user.is_active or user.pk is None:
        return Team.objects.none()
    enough = [each for each in Role if _RANK[each] >= _RANK[role]]
    return Team.objects.filter(memberships__user=user.pk, memberships__role__in=enough)


def visible(user: User, queryset: QuerySet[M]) -> QuerySet[M]:
    """Return the objects that the user may see, including platform credentials granted to one of the user's teams."""
    found = _scoped(user, queryset, _rule(queryset.model).view)
    if queryset.model is Credential and not is_platform_administrator(user):
        found = found | queryset.filter(pk__in=_granted(teams(user)))
    return found


def changeable(user: User, queryset: QuerySet[M]) -> QuerySet[M]:
    """Return the objects of the queryset that the user may change."""
    return _scoped(user, queryset, _rule(queryset.model).change)


def allows(user: User, action: str, model: type[Model], instance: Model | None = None) -> bool:
    """Return whether the user may `view`, `add`, `change` or `delete` this instance, or any object of the model."""
    if is_platform_administrator(user):
        return True
    role: Role | None = getattr(_rule(model), action)
    if role is None:
        return False
    if instance is None or instance.pk is None:
        return teams(user, role).exists()
    this: QuerySet[Any] = model._default_manager.filter(pk=instance.pk)
    return (visible(user, this) if action == "view" else _scoped(user, this, role)).exists()


def allows_in(user: User, action: str, model: type[Model], team: Team | None) -> bool:
    """Return whether the user may `view`, `add`, `change` or `delete` objects of the model in this team."""
    if is_platform_administrator(user):
        return True
    role: Role | None = getattr(_rule(model), action)
    if role is None or team is None or team.pk is None:
        return False
    return teams(user, role).filter(pk=team.pk).exists()


def selectable(user: User, model: type[Model], related: type[Model]) -> QuerySet[Any]:
    """Return the objects of `related` that the user may choose in a form of `model`.

    Only objects in teams where the user may change objects of the model. To move an object to another team, or to make
    it use another team's object, the user needs the role in both teams.
    """
    choices = related._default_manager.all()
    if is_platform_administrator(user):
        return choices
    role = RULES[model].change if model in RULES else None
    if role is None or related not in RULES or RULES[related].team is None:
        return choices.none()
    in_teams = Q(**{f"{_rule(related).team}__in": teams(user, role)})
    if related is Credential:
        in_teams |= Q(pk__in=_granted(teams(user, role)))
    return choices.filter(in_teams)


def _granted(team_set: QuerySet[Team]) -> QuerySet[Any]:
    return IdentityGrant.objects.filter(team__in=team_set, credential__team=None).values("credential")


def visible_history(user: User, records: QuerySet[Any], model: type[Model]) -> QuerySet[Any]:
    """Return the historical records of a model that the user may see: those from its time in the user's teams.

    This covers deleted objects too. A team that takes over an object doesn't see its history in the previous team.
    """
    if is_platform_administrator(user):
        return records
    role = _rule(model).view
    if role is None:
        return records.none()
    return records.filter(Q(**{f"{team_of_record(model)}__in": teams(user, role).values("pk")}))


def team_of_record(model: type[Model]) -> str | None:
    """Return the lookup of the team's primary key in a model's historical records, or None if it has none."""
    rule = _rule(model)
    return "id" if rule.team == "pk" else rule.team


def _rule(model: type[Model]) -> Rule:
    try:
        return RULES[model]
    except KeyError:
        # Fail closed: a model without a rule must not be open to everybody.
        raise LookupError(f"exporters.access.roles has no rule for {model.__name__}") from None


def _scoped(user: User, queryset: QuerySet[Any], role: Role | None) -> QuerySet[Any]:
    if is_platform_administrator(user):
        return queryset
    if role is None:
        return queryset.none()
    return queryset.filter(Q(**{f"{_rule(queryset.model).team}__in": teams(user, role)}))
