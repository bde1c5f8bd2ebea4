"""Who may see and change what. Every query that is made for a user goes through here.

A user acts through memberships: viewer, editor or owner of a team. A platform administrator (superuser) runs the hub
and may do everything. What a user may not see is absent from every queryset, so that another team's object can't be
told from one that does not exist.
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

# From the least to the most; who has a role may do what the ones before it may.
_RANK = {Role.VIEWER: 0, Role.EDITOR: 1, Role.OWNER: 2}


@dataclass(frozen=True, slots=True)
class Rule:
    """How a model belongs to a team, and the role that each thing takes. None: platform administrators only."""

    team: str | None  # look-up of the team's primary key; None: it belongs to no team
    view: Role | None
    change: Role | None
    add: Role | None
    delete: Role | None


RULES: dict[type[Model], Rule] = {
    Team: Rule("pk", Role.VIEWER, Role.OWNER, None, None),
    # Who is in a team, and who may let others in, is no secret within it.
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
    """Tell whether the web admin has anything for this user: platform administrators and members of teams."""
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
    """Return what of the queryset the user may see; of the platform's credentials those granted to a team of theirs."""
    found = _scoped(user, queryset, _rule(queryset.model).view)
    if queryset.model is Credential and not is_platform_administrator(user):
        found = found | queryset.filter(pk__in=_granted(teams(user)))
    return found


def changeable(user: User, queryset: QuerySet[M]) -> QuerySet[M]:
    """Return what of the queryset the user may change."""
    return _scoped(user, queryset, _rule(queryset.model).change)


def allows(user: User, action: str, model: type[Model], instance: Model | None = None) -> bool:
    """Tell whether the user may `view`, `add`, `change` or `delete` the instance, or anything of the model."""
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
    """Tell whether the user may `view`, `add`, `change` or `delete` objects of the model in this team."""
    if is_platform_administrator(user):
        return True
    role: Role | None = getattr(_rule(model), action)
    if role is None or team is None or team.pk is None:
        return False
    return teams(user, role).filter(pk=team.pk).exists()


def selectable(user: User, model: type[Model], related: type[Model]) -> QuerySet[Any]:
    """Return what of `related` the user may choose in a form of `model`.

    Only what lies in teams where the user may change objects of the model: an object is moved to another team, or made
    to use another team's, by those alone who have the role in both.
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
    """Return what of the historical records of a model the user may see: those of the time in the user's teams.

    That holds for objects that are deleted too, and keeps what an object was in another team from its new one.
    """
    if is_platform_administrator(user):
        return records
    role = _rule(model).view
    if role is None:
        return records.none()
    return records.filter(Q(**{f"{team_of_record(model)}__in": teams(user, role).values("pk")}))


def team_of_record(model: type[Model]) -> str | None:
    """Return the look-up that gives the team's number in the historical records of a model, None where it has none."""
    rule = _rule(model)
    return "id" if rule.team == "pk" else rule.team


def _rule(model: type[Model]) -> Rule:
    try:
        return RULES[model]
    except KeyError:
        # A model that nobody thought of must not be open to everybody.
        raise LookupError(f"exporters.access.roles has no rule for {model.__name__}") from None


def _scoped(user: User, queryset: QuerySet[Any], role: Role | None) -> QuerySet[Any]:
    if is_platform_administrator(user):
        return queryset
    if role is None:
        return queryset.none()
    return queryset.filter(Q(**{f"{_rule(queryset.model).team}__in": teams(user, role)}))
