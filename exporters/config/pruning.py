"""What an earlier file brought and this one no longer names."""

from typing import TYPE_CHECKING, Any

from django.db import router
from django.db.models import Model, RestrictedError
from django.db.models.deletion import Collector

from ..models import Membership, Namespace, Source
from .changes import Change, FieldChange, difference, name_of, snapshot
from .schema import KIND_OF, KINDS, Kind

if TYPE_CHECKING:
    from .application import Application


def prune(application: "Application", named: set[tuple[type[Model], Any]], delete: bool) -> None:
    """Delete the file's objects that are gone from it, or only list them. What was made in the admin is never
    deleted.
    """
    for kind in reversed(KINDS):
        for item in kind.model._default_manager.filter(source=Source.FILE).order_by("pk"):
            if (kind.model, item.pk) in named:
                continue
            if delete:
                _delete(application, kind, item)
            else:
                application.kept.append(f"{kind.word} {name_of(item)}")


def _delete(application: "Application", kind: Kind, item: Any) -> None:
    collector = Collector(using=router.db_for_write(kind.model), origin=item)
    try:
        collector.collect([item])
    except RestrictedError as error:
        users = ", ".join(
            sorted(f"{KIND_OF[type(user)].word} {name_of(user)}" for user in error.restricted_objects)
        )
        application.document.fail(
            f"{kind.word.capitalize()} {name_of(item)} is gone from the file but still used by {users}."
        )
        return
    gone = [other for others in collector.data.values() for other in others if other != item]
    made_by_hand = [other for other in gone if type(other) in KIND_OF]
    if made_by_hand:
        names = ", ".join(sorted(f"{KIND_OF[type(other)].word} {name_of(other)}" for other in made_by_hand))
        application.document.fail(
            f"{kind.word.capitalize()} {name_of(item)} is gone from the file, but these were added in the "
            "admin and "
            f"would be deleted with it: {names}. Move or delete them there first."
        )
        return
    members = sum(isinstance(other, Membership) for other in gone)
    fields = (FieldChange("members", str(members), "0"),) if members else ()
    tokens = list(item.tokens.all()) if isinstance(item, Namespace) else []
    before = [snapshot(token) for token in tokens]
    application.changes.append(Change("deleted", kind.word, name_of(item), fields))
    item._change_reason = f"apply_config --prune {application.file_name}"
    item.delete()
    for token, old in zip(tokens, before, strict=True):
        token.refresh_from_db()
        application.changes.append(
            Change("changed", "token", name_of(token), difference(old, snapshot(token)))
        )
