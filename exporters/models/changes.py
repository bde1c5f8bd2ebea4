"""What every row of a history has besides the object's own fields."""

from typing import Any

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
