"""The history of all objects that a user may see, in one list, newest first."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ObjectDoesNotExist
from django.core.paginator import Page, Paginator
from django.db.models import CharField, Model, Q, QuerySet, Value
from django.urls import NoReverseMatch, reverse
from simple_history.models import DeletedObject
from simple_history.template_utils import HistoricalRecordContextHelper

from ..access import roles
from ..models import IdentityGrant, LabelRule, Membership, Team
from ..telemetry.internal_errors import guarded
from . import wording

PER_PAGE = 25
_KINDS: dict[str, type[Model]] = {str(model._meta.model_name): model for model in roles.RULES}
# Fields to search, in addition to who made the change, from where, and why.
_FOUND_BY: dict[type[Model], tuple[str, ...]] = {
    Membership: ("user__username", "team__name"),
    IdentityGrant: ("credential__name", "team__name"),
    LabelRule: ("target_label", "regex", "team__name"),
    Team: ("name",),
    User: ("username", "first_name", "last_name", "email"),
}
_NAMED = ("name", "team__name")
_CHANGE = ("history_username", "history_address", "history_change_reason")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters for the list of changes; an empty filter matches everything."""

    search: str = ""
    team: Any = None
    kind: str = ""
    username: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the list. `fields` has the name, old value and new value of each changed field as text."""

    when: datetime
    who: str
    address: str
    action: str
    kind: str
    name: str
    url: str
    reason: str
    fields: list[dict[str, Any]] = field(default_factory=list)


class Differences(HistoricalRecordContextHelper):  # type: ignore[misc]
    """Names, old and new values of the changed fields, in the hub's terms and limited to what the user may see."""

    def __init__(self, user: roles.User | AnonymousUser, model: type[Model], record: Any) -> None:
        super().__init__(model, record)
        self._user = user

    def prepare_delta_change_value(self, change: Any, value: Any) -> Any:
        # An object that has since moved to another team is shown like a deleted one: its current name is not for this
        # user.
        told = super().prepare_delta_change_value(change, value)
        return [self._told(each) for each in told] if isinstance(told, list) else self._told(told)

    def _told(self, value: Any) -> Any:
        if value is None:
            return ""  # same as an empty text
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, dict):  # labels, or a secret's reference
            return ", ".join(f"{name}={text}" for name, text in sorted(value.items()))
        model = type(value)
        rule = roles.RULES.get(model)
        if rule is None or rule.team is None or roles.allows(self._user, "view", model, value):
            return value
        return DeletedObject(model, value.pk)

    def format_delta_change(self, change: Any) -> Any:
        label = wording.FIELDS.get(str(self.model._meta.model_name), {}).get(change.field)
        told = super().format_delta_change(change)
        return replace(told, field=label) if label else told


def kinds(user: roles.User | AnonymousUser) -> dict[str, type[Model]]:
    """Return the kinds of objects whose changes the user may see, by name."""
    everything = roles.is_platform_administrator(user)
    return {
        name: model for name, model in _KINDS.items() if everything or roles.RULES[model].view is not None
    }


def page(user: roles.User | AnonymousUser, wanted: Wanted, number: str | None) -> "Page[Any]":
    """Return a page of Changes; an invalid page number gives the first or the last page."""
    parts = [
        _records(user, model, wanted)
        .annotate(history_kind=Value(kind, output_field=CharField()))
        .order_by()
        .values_list("history_date", "history_kind", "history_id")
        for kind, model in kinds(user).items()
        if not wanted.kind or kind == wanted.kind
    ]
    rows = parts[0].union(*parts[1:], all=True) if parts[1:] else parts[0]
    found = Paginator(rows.order_by("-history_date", "history_kind", "-history_id"), PER_PAGE).get_page(
        number
    )
    found.object_list = _changes(user, found.object_list)
    return found


def _records(user: roles.User | AnonymousUser, model: type[Model], wanted: Wanted) -> "QuerySet[Any]":
    records = roles.visible_history(user, _history(model), model)
    if wanted.team is not None:
        team = roles.team_of_record(model)
        records = records.filter(**{team: wanted.team.pk}) if team else records.none()
    if wanted.username:
        records = records.filter(history_username=wanted.username)
    if wanted.search:
        found = Q()
        for name in (*_CHANGE, *_FOUND_BY.get(model, _NAMED)):
            found |= Q(**{f"{name}__icontains": wanted.search})
        records = records.filter(found)
    return records


def _history(model: type[Model]) -> "QuerySet[Any]":
    records: QuerySet[Any] = model.history.all()  # type: ignore[attr-defined]
    return records


def _changes(user: roles.User | AnonymousUser, rows: Iterable[tuple[Any, str, int]]) -> list[Change]:
    rows = list(rows)
    records: dict[tuple[str, int], Any] = {}
    for kind in {kind for _, kind, _ in rows}:
        numbers = [number for _, of, number in rows if of == kind]
        for record in _history(_KINDS[kind]).filter(history_id__in=numbers):
            records[kind, record.history_id] = record
    return [
        guarded(
            lambda kind=kind, number=number: _change(user, _KINDS[kind], records[kind, number]),  # type: ignore[misc]
            lambda kind=kind, number=number: _unreadable(_KINDS[kind], records[kind, number]),  # type: ignore[misc]
        )
        for _, kind, number in rows
        if (kind, number) in records
    ]


def _change(user: roles.User | AnonymousUser, model: type[Model], record: Any) -> Change:
    return Change(
        when=record.history_date,
        who=record.history_username,
        address=record.history_address,
        action=record.get_history_type_display(),
        kind=str(model._meta.verbose_name),
        name=_name(record),
        url=_history_url(model, record.id),
        reason=record.history_change_reason or "",
        fields=_differences(user, model, record) if record.history_type == "~" else [],
    )


def _unreadable(model: type[Model], record: Any) -> Change:
    return Change(
        when=record.history_date,
        who=record.history_username,
        address=record.history_address,
        action="changed",
        kind=str(model._meta.verbose_name),
        name=f"number {record.id}",
        url="",
        reason="The changes can't be shown; the hub's log has the traceback.",
    )


def _differences(user: roles.User | AnonymousUser, model: type[Model], record: Any) -> list[dict[str, Any]]:
    # A new team must not see what the object was in its previous team, so the earlier record must be visible too.
    earlier = _history(model).filter(id=record.id, history_id__lt=record.history_id)
    before = roles.visible_history(user, earlier, model).order_by("-history_id").first()
    if before is None:
        return []
    delta = record.diff_against(before, foreign_keys_are_objs=True)
    shown: list[dict[str, Any]] = Differences(user, model, record).context_for_delta_changes(delta)
    return shown


def _name(record: Any) -> str:
    """Return the object's name at that time, or its number if the name depends on a deleted object."""
    try:
        return str(record.instance)
    except ObjectDoesNotExist:
        return f"number {record.id}"


def _history_url(model: type[Model], number: int) -> str:
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_history", args=[number])
    except NoReverseMatch:
        return ""
