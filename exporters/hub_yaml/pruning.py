"""Objects from an earlier file that the current one no longer has."""

from functools import partial
from typing import Any

from django.db.models import Model

from ..models import Credential, Membership, Namespace, ScrapeToken, Team
from .changes import Change, FieldChange, difference, name_of, snapshot
from .draft import Draft
from .schema import KIND_OF, KINDS, Kind
from .stored import remember


def prune(draft: Draft, named: set[tuple[type[Model], Any]], delete: bool) -> None:
    """Delete the objects that are gone from the file, or only list them.

    Objects made in the admin are never deleted.
    """
    for kind in reversed(KINDS):
        users = draft.stored.users()  # without those of earlier kinds, which may be deleted by now
        for item in draft.stored.from_file(kind.model):
            if (kind.model, item.pk) in named:
                continue
            if delete:
                _delete(draft, kind, item, users.get((kind.model, item.pk), []))
            else:
                draft.kept.append(f"{kind.word} {name_of(item)}")


def _delete(draft: Draft, kind: Kind, item: Any, users: list[Any]) -> None:
    """Delete an object that is no longer in the file; `users` are the objects that refer to it."""
    tokens = [each for each in users if isinstance(each, ScrapeToken) and isinstance(item, Namespace)]
    users = [each for each in users if each not in tokens]
    if users:
        names = ", ".join(sorted(f"{KIND_OF[type(each)].word} {name_of(each)}" for each in users))
        what = f"{kind.word.capitalize()} {name_of(item)} is no longer in the file"
        if isinstance(item, Credential):
            draft.document.fail(f"{what}, but is still used by {names}.")
        else:
            draft.document.fail(
                f"{what}, but these objects were added in the admin and would be deleted with it: {names}. Move or "
                "delete them there first."
            )
        return
    members = Membership.objects.filter(team=item).count() if isinstance(item, Team) else 0
    fields = (FieldChange("members", str(members), "0"),) if members else ()
    draft.changes.append(Change("deleted", kind.word, name_of(item), fields))
    draft.stored.remove(item)
    draft.writes.append(partial(_remove, item, f"no longer in {draft.file_name}"))
    for token in tokens:
        old = snapshot(token)
        remember(token, "namespaces", [each for each in token.namespaces.all() if each is not item])
        lost = difference(old, snapshot(token))
        if lost:  # none if the namespace belongs to another team by now
            draft.changes.append(Change("changed", "token", name_of(token), lost))


def _remove(item: Any, reason: str) -> None:
    item._change_reason = reason
    item.delete()
