"""Where an object is edited."""

from django.db import models


class Source(models.TextChoices):
    """An object that comes from hub.yaml is read-only in the admin: the file would overwrite what was changed
    there.
    """

    ADMIN = "admin", "the admin"
    FILE = "file", "hub.yaml"


def source_field() -> "models.CharField[str, str]":
    return models.CharField(max_length=8, choices=Source, default=Source.ADMIN, editable=False)
