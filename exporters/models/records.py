"""What scrapes left behind: the last ones of each namespace."""

from django.db import models

from .namespaces import Namespace


class Outcome(models.TextChoices):
    """How a scrape ended: everything was read, some of it, or nothing."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"


class ScrapeRecord(models.Model):
    """One scrape as it was answered. Written in batches off the request path; the newest of a namespace are
    kept.
    """

    namespace = models.ForeignKey(Namespace, on_delete=models.CASCADE, related_name="records")
    at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=Outcome)
    # Of the first failure, as in servicebus_scrape_error.
    reason = models.CharField(max_length=16, blank=True)
    message = models.TextField(blank=True)
    duration_seconds = models.FloatField()
    allowed_seconds = models.FloatField()
    age_seconds = models.FloatField(default=0)
    requests = models.PositiveIntegerField(default=0)
    throttled_requests = models.PositiveIntegerField(default=0)
    series = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["namespace", "-at"], name="records_of_a_namespace")]

    def __str__(self) -> str:
        return f"{self.namespace_id} {self.outcome} {self.at:%Y-%m-%d %H:%M:%S}"


class NamespaceStatus(models.Model):
    """The last scrape of each namespace and the outline of the ones before: one row a target for the start
    page.
    """

    namespace = models.OneToOneField(
        Namespace, on_delete=models.CASCADE, primary_key=True, related_name="status"
    )
    at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=Outcome)
    reason = models.CharField(max_length=16, blank=True)
    message = models.TextField(blank=True)
    duration_seconds = models.FloatField()
    allowed_seconds = models.FloatField()
    throttled_requests = models.PositiveIntegerField(default=0)
    series = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(help_text="Since when the outcome is what it is.")
    # The newest last: [[outcome's first letter, milliseconds], ...]
    recent = models.JSONField(default=list)

    class Meta:
        verbose_name_plural = "namespace statuses"

    def __str__(self) -> str:
        return f"{self.namespace_id} {self.outcome}"
