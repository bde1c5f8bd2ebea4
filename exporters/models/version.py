"""The configuration's version, and what changed with each."""

import secrets
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import models, transaction

# Changes of one version that are listed object by object. Above it the version stands for all objects.
MAX_CHANGES_OF_A_VERSION = 1_000
# Rows that are kept. A process that is further behind reads the whole configuration.
MAX_KEPT_CHANGES = 20_000
# Versions between two looks for rows that are too many.
_PRUNED_EVERY = 50
# In the place of a model's name.
EVERYTHING = "everything"


class Version(NamedTuple):
    """Names one state of the stored configuration."""

    number: int
    # Random: when a backup is restored, numbers come again, but with other marks.
    mark: int


class ConfigurationVersion(models.Model):
    """One row that counts changes of the configuration, so that a worker can ask cheaply whether it has the
    newest.
    """

    number = models.PositiveBigIntegerField(default=0)
    mark = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)

    @classmethod
    def read(cls) -> Version:
        row = cls.objects.filter(pk=1).values_list("number", "mark").first()
        return Version(*row) if row else Version(0, 0)

    @classmethod
    def bump(cls, changes: Iterable[tuple[str, int]] = ((EVERYTHING, 0),)) -> None:
        """Note that these objects (model name and primary key) changed; call it in the transaction that changed them.

        The update locks the row until that transaction ends, so versions become visible in their order.
        """
        listed = sorted(set(changes))
        if len(listed) > MAX_CHANGES_OF_A_VERSION:
            listed = [(EVERYTHING, 0)]
        if not listed:
            return
        mark = secrets.randbits(62)
        with transaction.atomic(savepoint=False):
            following = {"number": models.F("number") + 1, "mark": mark}
            if not cls.objects.filter(pk=1).update(**following):
                cls.objects.get_or_create(pk=1)
                cls.objects.filter(pk=1).update(**following)
            number = cls.objects.values_list("number", flat=True).get(pk=1)
            ConfigurationChange.objects.bulk_create(
                ConfigurationChange(version=number, mark=mark, kind=kind, object_id=pk) for kind, pk in listed
            )
            if number % _PRUNED_EVERY == 0:
                ConfigurationChange.prune()


class ConfigurationChange(models.Model):
    """One object that changed with a version: with these rows a process reads only what it doesn't have yet."""

    version = models.PositiveBigIntegerField(db_index=True)
    mark = models.BigIntegerField()
    kind = models.CharField(max_length=20)
    object_id = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id} in version {self.version}"

    @classmethod
    def since(cls, known: Version, newest: Version) -> dict[str, set[int]] | None:
        """Return the objects that changed after a version, by kind; None when the rows don't say it."""
        marks: dict[int, int] = {}
        changes: dict[str, set[int]] = {}
        rows = cls.objects.filter(version__gte=known.number, version__lte=newest.number)
        for version, mark, kind, pk in rows.values_list("version", "mark", "kind", "object_id"):
            marks[version] = mark
            if version > known.number:
                changes.setdefault(kind, set()).add(pk)
        if marks.get(known.number) != known.mark or len(marks) != newest.number - known.number + 1:
            return None
        return None if EVERYTHING in changes else changes

    @classmethod
    def prune(cls) -> None:
        """Delete the oldest rows where there are too many."""
        newest = cls.objects.aggregate(newest=models.Max("pk"))["newest"] or 0
        cls.objects.filter(pk__lte=newest - MAX_KEPT_CHANGES).delete()


class Versioned(models.Model):
    """Base of what the configuration consists of: each is saved in one transaction with the version that tells of it.

    Otherwise a process that is killed in between would leave a change that nobody hears of. A deletion is one anyway.
    """

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic(savepoint=False):
            super().save(*args, **kwargs)
