"""Records of each namespace's latest scrapes."""

from django.db import models

from .namespaces import Namespace


class Outcome(models.TextChoices):
    """How a scrape ended: everything was read, some of it, or nothing."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"


class Scrape(models.Model):
    """What is stored about a scrape, both in its record and in the status of its namespace."""

    at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=Outcome)
    # The first failure's reason, as in servicebus_scrape_error.
    reason = models.CharField(max_length=16, blank=True)
    message = models.TextField(blank=True)
    duration_seconds = models.FloatField()
    allowed_seconds = models.FloatField()
    throttled_requests = models.PositiveIntegerField(default=0)
    series = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True


class ScrapeRecord(Scrape):
    """One scrape and its result. Records are written in batches outside the request, and only a namespace's newest
    are kept.
    """

    namespace = models.ForeignKey(Namespace, on_delete=models.CASCADE, related_name="records")
    age_seconds = models.FloatField(default=0)
    requests = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["namespace", "-at"], name="records_of_a_namespace")]

    def __str__(self) -> str:
        return f"{self.namespace_id} {self.outcome} {self.at:%Y-%m-%d %H:%M:%S}"


class NamespaceStatus(Scrape):
    """A namespace's last scrape and a summary of the ones before, so that the start page reads one row per target."""

    # The columns that are copied from the last scrape's record.
    OF_THE_SCRAPE = tuple(field.name for field in Scrape._meta.fields)

    namespace = models.OneToOneField(
        Namespace, on_delete=models.CASCADE, primary_key=True, related_name="status"
    )
    since = models.DateTimeField(help_text="Time of the first scrape in a row with this outcome.")
    # Newest last: [[outcome's first letter, milliseconds], ...]
    recent = models.JSONField(default=list)

    class Meta:
        verbose_name_plural = "namespace statuses"

    def __str__(self) -> str:
        return f"{self.namespace_id} {self.outcome}"
