"""What every row of a history has besides the object's own fields."""

from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from simple_history.models import HistoricalRecords


class RecordOfChange(models.Model):
    """Base of all histories: who made a change, and from where. Both are empty for what a command changed.

    The name is kept besides the user, because a user who is deleted must still be named.
    """

    history_username = models.CharField("by", max_length=150, blank=True, default="", editable=False)
    history_address = models.CharField("from", max_length=45, blank=True, default="", editable=False)

    class Meta:
        abstract = True


def kept_history(**options: Any) -> Any:
    """Return the history of a model, every row of which is a RecordOfChange."""
    return HistoricalRecords(bases=[RecordOfChange], **options)


def name_of(obj: models.Model, field: str) -> str:
    """Return what an object refers to; its number where that is gone, as a version of the history can outlive it."""
    try:
        return str(getattr(obj, field))
    except ObjectDoesNotExist:
        return f"{field} number {getattr(obj, f'{field}_id')}"
