"""The fields that every history row has in addition to the object's own."""

from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from simple_history.models import HistoricalRecords


class RecordOfChange(models.Model):
    """Base of all histories: who made a change, and from which address. Both are empty for changes by a command.

    The name is stored in addition to the user, because the history must still name a deleted user.
    """

    history_username = models.CharField("by", max_length=150, blank=True, default="", editable=False)
    history_address = models.CharField("from", max_length=45, blank=True, default="", editable=False)

    class Meta:
        abstract = True


def kept_history(**options: Any) -> Any:
    """Return the history for a model, with RecordOfChange as the base of its rows."""
    return HistoricalRecords(bases=[RecordOfChange], **options)


def name_of(obj: models.Model, field: str) -> str:
    """Return a related object's name, or its number if it was deleted: a history row can outlive it."""
    try:
        return str(getattr(obj, field))
    except ObjectDoesNotExist:
        return f"{field} number {getattr(obj, f'{field}_id')}"
