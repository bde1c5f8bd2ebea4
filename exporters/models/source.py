"""The source of an object: the admin or hub.yaml."""

from django.db import models


class Source(models.TextChoices):
    """Where an object is edited. Objects from hub.yaml are read-only in the admin: the file would overwrite changes."""

    ADMIN = "admin", "the admin"
    FILE = "file", "hub.yaml"


def source_field() -> "models.CharField[str, str]":
    return models.CharField(max_length=8, choices=Source, default=Source.ADMIN, editable=False)
