"""The history of Django's users. It records that a password was set or removed, never its hash."""

from collections.abc import Collection
from typing import Any

from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import User
from django.db.models.signals import pre_save
from simple_history import register
from simple_history.models import HistoricalRecords

from .changes import RecordOfChange

_SET = "password set"
_REMOVED = "password removed"
_ADMINISTRATOR = "platform administrator"
# The password's hash, a value that changes with each sign-in, and values that the hub doesn't use.
_NOT_KEPT = ["password", "last_login", "is_staff", "date_joined"]


class UserRecords(HistoricalRecords):  # type: ignore[misc]
    """Records a set or removed password as the reason for a change, and skips sign-ins."""

    def finalize(self, sender: Any, **kwargs: Any) -> None:
        super().finalize(sender, **kwargs)
        pre_save.connect(self.pre_save, sender=sender, weak=False)

    def pre_save(
        self, instance: User, update_fields: Collection[str] | None = None, raw: bool = False, **kwargs: Any
    ) -> None:
        """Compare the password with the stored one, which is overwritten before the history row is written."""
        of_password = "" if raw else _change_of_password(instance, update_fields)
        instance._change_of_password = of_password  # type: ignore[attr-defined]

    def post_save(self, instance: Any, created: bool, using: str | None = None, **kwargs: Any) -> None:
        written = kwargs.get("update_fields")
        kept = {field.name for field in self.fields_included(instance)}
        if written is None or kept.intersection(written) or instance._change_of_password:
            super().post_save(instance, created, using=using, **kwargs)

    def get_change_reason_for_object(self, instance: Any, history_type: str, using: str | None) -> str | None:
        given = super().get_change_reason_for_object(instance, history_type, using)
        if given or history_type == "-":
            return str(given) if given else None
        told = [_ADMINISTRATOR] if history_type == "+" and instance.is_superuser else []
        told += [instance._change_of_password] if instance._change_of_password else []
        return ", ".join(told) or None


def _change_of_password(user: User, update_fields: Collection[str] | None) -> str:
    if update_fields is not None and "password" not in update_fields:
        return ""
    stored = User.objects.filter(pk=user.pk).values_list("password", flat=True).first() or ""
    if user.password == stored:
        return ""
    if not is_password_usable(user.password):
        return _REMOVED if stored and is_password_usable(stored) else ""
    # At sign-in, Django may rehash the same password as its current version does.
    hashed_anew = (
        update_fields is not None
        and set(update_fields) == {"password"}
        and getattr(user, "_password", None) is None
    )
    return "" if hashed_anew else _SET


register(User, app="exporters", records_class=UserRecords, bases=[RecordOfChange], excluded_fields=_NOT_KEPT)
