"""The configuration's version, and the objects that changed with each version."""

import secrets
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import models, transaction

# The most objects listed for one version. With more, the version counts as a change of everything.
MAX_CHANGES_OF_A_VERSION = 1_000
# The most rows kept. A process that is further behind reads the whole configuration.
MAX_KEPT_CHANGES = 20_000
# The number of versions between two deletions of old rows.
_PRUNED_EVERY = 50
# Used in place of a model's name.
EVERYTHING = "everything"


class Version(NamedTuple):
    """Identifies one state of the stored configuration."""

    number: int
    # Random: after a backup is restored, numbers repeat, but with other marks.
    mark: int


class ConfigurationVersion(models.Model):
    """One row that counts changes to the configuration, so that a worker process can check cheaply whether its copy is
    up to date.
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
        """Record that these objects (model name and primary key) changed. Call it in the transaction that changes them.

        The update locks the row until that transaction ends, so versions become visible in order.
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
    """One object that changed with a version. These rows let a process reload only what has changed."""

    version = models.PositiveBigIntegerField(db_index=True)
    mark = models.BigIntegerField()
    kind = models.CharField(max_length=20)
    object_id = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id} in version {self.version}"

    @classmethod
    def since(cls, known: Version, newest: Version) -> dict[str, set[int]] | None:
        """Return the objects that changed after a version, by kind; None if the rows don't list them all."""
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
        """Delete the oldest rows above MAX_KEPT_CHANGES."""
        newest = cls.objects.aggregate(newest=models.Max("pk"))["newest"] or 0
        cls.objects.filter(pk__lte=newest - MAX_KEPT_CHANGES).delete()


class Versioned(models.Model):
    """Base of the configuration's models: saves an object in one transaction with the version for the change.

    Otherwise, a process killed in between would leave a change that other processes don't notice. Django's delete()
    uses a transaction anyway.
    """

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic(savepoint=False):
            super().save(*args, **kwargs)
