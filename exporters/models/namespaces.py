"""Namespaces: the scrape targets."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from ..credentials.encryption import SecretUnavailableError
from ..credentials.endpoints import endpoint_of
from ..servicebus.connection import Endpoint, parse_host
from .changes import kept_history
from .credentials import Credential
from .source import source_field
from .teams import Team
from .validators import (
    slug_validator,
    validate_host,
    validate_metric_groups,
    validate_pattern,
    validate_target_labels,
)
from .version import Versioned


def default_metric_groups() -> list[str]:
    return ["counts", "times", "state", "settings", "namespace"]


class Namespace(Versioned):
    """One Service Bus namespace: a scrape target at /metrics/<name>."""

    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[slug_validator],
        help_text="Lowercase letters, digits and hyphens. The metrics path is /metrics/ followed by this name.",
        error_messages={"unique": "A namespace with this name already exists. It would have the same path."},
    )
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="namespaces")
    host = models.CharField(
        max_length=255,
        blank=True,
        validators=[validate_host],
        help_text="For example payments-prod.servicebus.windows.net. If empty, taken from the connection string.",
    )
    credential = models.ForeignKey(
        Credential,
        # Not PROTECT: a team must be deletable with its credentials and the namespaces that use them.
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        related_name="namespaces",
        help_text="One of the team's credentials, or one that the platform has granted to it. Without one, scrapes "
        "fail.",
    )
    enabled = models.BooleanField(
        default=True,
        help_text="If off, the namespace is paused: it is not scraped, and service discovery omits it.",
    )
    labels = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_target_labels],
        help_text="Target labels for service discovery, one name=value per line, for example environment=prod.",
    )
    include = models.TextField(
        blank=True,
        validators=[validate_pattern],
        help_text="RE2 pattern that must match the whole name of a queue or topic. If empty, all match.",
    )
    exclude = models.TextField(
        blank=True,
        validators=[validate_pattern],
        help_text="RE2 pattern. Queues and topics whose whole name matches are excluded; topics with their "
        "subscriptions.",
    )
    metric_groups = models.JSONField(
        default=default_metric_groups,
        blank=True,
        validators=[validate_metric_groups],
        help_text="Groups of metrics, in addition to message counts and sizes, which are always exported.",
    )
    requests_per_second = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(10_000)],
        help_text="Management requests per second. If empty, depends on the SKU: 30 for Basic and Standard, 200 for "
        "Premium.",
    )
    burst = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
        help_text="Requests that may be sent at once after a pause. If empty, as many as one second allows.",
    )
    concurrency = models.PositiveIntegerField(
        default=16,
        validators=[MinValueValidator(1), MaxValueValidator(256)],
        help_text="Maximum number of concurrent management requests.",
    )
    timeout_seconds = models.FloatField(
        "timeout (seconds)",
        default=9.5,
        validators=[MinValueValidator(0.5), MaxValueValidator(300)],
        help_text="Maximum duration of a scrape, even if Prometheus would wait longer.",
    )
    cache_seconds = models.FloatField(
        "cache (seconds)",
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(3600)],
        help_text="Time for which later scrapes share a read, for example for a pair of Prometheus servers. 0 "
        "disables sharing.",
    )
    max_age_seconds = models.FloatField(
        "maximum age (seconds)",
        default=300,
        validators=[MinValueValidator(0), MaxValueValidator(86_400)],
        help_text="Time for which the last known values are used where the budget did not allow a new read.",
    )
    max_entities = models.PositiveIntegerField(
        default=20_000,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text="Maximum number of entities to export. servicebus_entities_dropped counts the others.",
    )
    scrape_interval_seconds = models.FloatField(
        "scrape interval (seconds)",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(86_400)],
        help_text="Passed to Prometheus by service discovery. If empty, prometheus.yml decides.",
    )
    scrape_timeout_seconds = models.FloatField(
        "scrape timeout (seconds)",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(300)],
        help_text="Passed to Prometheus by service discovery. Must not exceed the interval. If empty, prometheus.yml "
        "decides.",
    )
    source = source_field()
    created_at = models.DateTimeField(auto_now_add=True)

    history = kept_history()

    # The stored team's ID, None if it was not loaded.
    _stored_team_id: int | None = None

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        moves = not self._state.adding and self._stored_team_id != self.team_id
        super().save(*args, **kwargs)
        self._stored_team_id = self.team_id
        if not moves:
            return
        for rule in self.label_rules.exclude(team=self.team_id):
            # Save each rule, because its history in the new team begins with this change.
            rule._change_reason = "deleted with its namespace"  # type: ignore[attr-defined]
            rule.save()

    def get_absolute_url(self) -> str:
        return reverse("namespace-metrics", args=[self.name])

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> "Namespace":
        found = super().from_db(*args, **kwargs)
        found._stored_team_id = found.__dict__.get("team_id")
        return found

    def endpoint(self) -> Endpoint:
        """Return the endpoint to read: the namespace's host or, without one, the connection string's.

        Raises ValidationError, keyed by field, if there is neither or if they contradict each other, and
        SecretUnavailableError if the connection string is unavailable.
        """
        connection = None
        if self.credential and self.credential.kind == Credential.Kind.CONNECTION_STRING:
            connection = self.credential.facts().connection
        return endpoint_of(self.host, connection)

    def credential_problem(self) -> str:
        """Return why the credential must not be sent to this namespace's endpoint; empty if it may.

        Raises what endpoint() does.
        """
        credential = self.credential
        if credential is None:
            return ""
        if credential.team_id not in (None, self.team_id):
            return f"Credential {credential.name} belongs to another team than namespace {self.name}."
        if credential.team_id is not None and self._is_the_strings_own():
            return ""
        host = self.endpoint().host_port
        if credential.is_usable_by(self.team_id, host):
            return ""
        if credential.team_id is None:
            return (
                f"Credential {credential.name} belongs to the platform and is not granted to team {self.team.name} "
                f"for {host}. A platform administrator can grant it."
            )
        return (
            f"Credential {credential.name} may not be sent to {host}. Ask an owner of team {self.team.name} to add "
            f"{host} to the credential's hosts, or to save this namespace."
        )

    def _is_the_strings_own(self) -> bool:
        """Return whether the endpoint is the connection string's. A read reports a host that contradicts it."""
        if self.credential is None or self.credential.kind != Credential.Kind.CONNECTION_STRING:
            return False
        # Without a port, the host adds nothing to the connection string, and the secret need not be decrypted.
        try:
            if not self.host or parse_host(self.host).port is None:
                return True
        except ValueError:
            return False  # endpoint() reports the error
        connection = self.credential.facts().connection
        return connection is not None and self.endpoint() == connection.endpoint

    def clean(self) -> None:
        errors: dict[str, str] = {}
        interval, timeout = self.scrape_interval_seconds, self.scrape_timeout_seconds
        if interval is not None and timeout is not None and timeout > interval:
            errors["scrape_timeout_seconds"] = (
                f"Prometheus doesn't accept a timeout above the interval ({interval:g} s)."
            )
        errors |= self._credential_errors()
        if errors:
            raise ValidationError(errors)

    def _credential_errors(self) -> dict[str, str]:
        # A form without a team already has an error.
        if self.team_id and self.credential and self.credential.team_id not in (None, self.team_id):
            return {"credential": "This credential belongs to another team."}
        errors = self._endpoint_errors()
        if errors or not self.team_id or self._host_is_illegal():
            return errors
        problem = self.credential_problem()
        return {"credential": problem} if problem else {}

    def _endpoint_errors(self) -> dict[str, str]:
        try:
            self.endpoint()
        except SecretUnavailableError as error:
            return {"credential": str(error)}
        except ValidationError as error:
            messages = error.message_dict
            if "host" in messages:
                # The field's own validation reports an illegal host; don't repeat it.
                return {} if self._host_is_illegal() else {"host": " ".join(messages["host"])}
            # The credential's own fields are not on this form.
            return {"credential": " ".join(error.messages)}
        return {}

    def _host_is_illegal(self) -> bool:
        try:
            if self.host:
                validate_host(self.host)
        except ValidationError:
            return True
        return False
