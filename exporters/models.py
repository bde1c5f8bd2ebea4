"""The stored configuration: teams, credentials, namespaces, label rules and scrape tokens."""

import hashlib
import secrets as random_secrets
import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from simple_history.models import HistoricalRecords

from .secrets import EncryptedField, fingerprint, reveal
from .validators import (
    slug_validator,
    validate_entity_pattern,
    validate_host,
    validate_metric_groups,
    validate_target_labels,
)

TOKEN_PREFIX = "sbh_"  # noqa: S105 - what a token starts with, so that secret scanners recognise a leaked one


class Source(models.TextChoices):
    """Where an object is edited: one that comes from hub.yaml is read-only in the admin."""

    ADMIN = "admin", "the admin"
    FILE = "file", "hub.yaml"


class Team(models.Model):
    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[slug_validator],
        help_text="Lower-case letters, digits and hyphens. Becomes the target label `team` in Prometheus.",
    )
    description = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=8, choices=Source, default=Source.ADMIN, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """What a user may do in a team."""

    class Role(models.TextChoices):
        VIEWER = "viewer", "Viewer: sees targets, status and previews"
        EDITOR = "editor", "Editor: also namespaces, rules and tokens"
        OWNER = "owner", "Owner: also credentials and members"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.VIEWER)

    history = HistoricalRecords()

    class Meta:
        ordering = ["team__name", "user__username"]
        constraints = [
            models.UniqueConstraint(fields=["user", "team"], name="one_membership_for_a_user_in_a_team")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class Credential(models.Model):
    """How the hub proves to Service Bus who it is."""

    class Kind(models.TextChoices):
        CONNECTION_STRING = "connection_string", "Connection string (shared access key or signature)"
        CLIENT_SECRET = "client_secret", "Entra ID application with a client secret"
        CLIENT_CERTIFICATE = "client_certificate", "Entra ID application with a certificate"
        MANAGED_IDENTITY = "managed_identity", "Managed identity of the hub's machine"
        WORKLOAD_IDENTITY = "workload_identity", "Workload identity (federated token file)"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[slug_validator],
        help_text="Lower-case letters, digits and hyphens.",
    )
    # Empty for the hub's own identities, which belong to no team.
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="credentials"
    )
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.CONNECTION_STRING)
    secret = EncryptedField(
        help_text="The connection string, the client secret, or the certificate with its private key (PEM)."
    )
    # A reference keeps the secret out of the database: {"env": NAME} or {"file": PATH}, read when it is needed.
    secret_reference = models.JSONField(default=dict, blank=True, editable=False)
    secret_fingerprint = models.CharField(max_length=8, blank=True, editable=False)
    secret_set_at = models.DateTimeField(null=True, editable=False)
    certificate_password = EncryptedField(help_text="Only for an encrypted private key.")
    certificate_password_reference = models.JSONField(default=dict, blank=True, editable=False)
    expires_at = models.DateTimeField(
        "expires",
        null=True,
        blank=True,
        help_text="Taken from a certificate or a shared access signature. For a client secret: the date that Azure shows.",
    )
    tenant_id = models.CharField("tenant", max_length=64, blank=True, help_text="Directory (tenant) ID.")
    client_id = models.CharField(
        "client",
        max_length=64,
        blank=True,
        help_text="Application (client) ID; for a managed identity only when it is user-assigned.",
    )
    authority = models.CharField(
        max_length=200,
        blank=True,
        help_text="Login host of a sovereign cloud, for example login.microsoftonline.us. Empty: the public cloud.",
    )
    token_file = models.CharField(
        max_length=500,
        blank=True,
        help_text="Workload identity: path of the federated token. Empty: AZURE_FEDERATED_TOKEN_FILE.",
    )
    source = models.CharField(max_length=8, choices=Source, default=Source.ADMIN, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    history = HistoricalRecords(excluded_fields=["secret", "certificate_password"])

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if isinstance(self.secret, str) and self.secret:
            self.secret_fingerprint = fingerprint(self.secret)
            self.secret_set_at = timezone.now()
        super().save(*args, **kwargs)

    def reveal_secret(self) -> str:
        """Return the secret in plain text; raise UndecryptableError naming the row."""
        return reveal(self, "secret")

    def reveal_certificate_password(self) -> str:
        return reveal(self, "certificate_password")


def default_metric_groups() -> list[str]:
    return ["counts", "times", "state", "settings", "namespace"]


class Namespace(models.Model):
    """One Service Bus namespace: a scrape target at /metrics/<name>."""

    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[slug_validator],
        help_text="Lower-case letters, digits and hyphens. The path in Prometheus: /metrics/<name>.",
    )
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="namespaces")
    host = models.CharField(
        max_length=255,
        blank=True,
        validators=[validate_host],
        help_text="For example payments-prod.servicebus.windows.net. Empty: taken from the connection string.",
    )
    credential = models.ForeignKey(
        Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="namespaces"
    )
    enabled = models.BooleanField(
        default=True, help_text="Off: not scraped, and left out of service discovery (paused)."
    )
    labels = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_target_labels],
        help_text='Target labels for service discovery, for example {"environment": "prod"}.',
    )
    include = models.TextField(
        blank=True,
        validators=[validate_entity_pattern],
        help_text="RE2 pattern that a queue's or topic's whole name must match. Empty: all.",
    )
    exclude = models.TextField(
        blank=True,
        validators=[validate_entity_pattern],
        help_text="RE2 pattern; a queue or topic whose whole name matches is left out, and a topic's subscriptions too.",
    )
    metric_groups = models.JSONField(
        default=default_metric_groups,
        blank=True,
        validators=[validate_metric_groups],
        help_text="Groups of metrics beside the message counts and sizes, which are always there.",
    )
    requests_per_second = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(10_000)],
        help_text="Management requests a second. Empty: by SKU, 30 for Basic and Standard, 200 for Premium.",
    )
    burst = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
        help_text="Requests that may be sent at once after a pause. Empty: as many as one second allows.",
    )
    concurrency = models.PositiveIntegerField(
        default=16,
        validators=[MinValueValidator(1), MaxValueValidator(256)],
        help_text="Management requests under way at a time.",
    )
    timeout_seconds = models.FloatField(
        default=9.5,
        validators=[MinValueValidator(0.5), MaxValueValidator(300)],
        help_text="Seconds that a scrape may take at most, whatever Prometheus would wait.",
    )
    cache_seconds = models.FloatField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(3600)],
        help_text="Seconds for which a read is shared by later scrapes, for a pair of Prometheus servers. 0: not at all.",
    )
    max_age_seconds = models.FloatField(
        default=300,
        validators=[MinValueValidator(0), MaxValueValidator(86_400)],
        help_text="Seconds for which last known values stand in where the budget did not allow a new reading.",
    )
    max_entities = models.PositiveIntegerField(
        default=20_000,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text="Entities shown at most; what is left out is counted in servicebus_entities_dropped.",
    )
    scrape_interval_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(86_400)],
        help_text="Handed to Prometheus by service discovery. Empty: as prometheus.yml says.",
    )
    scrape_timeout_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(300)],
        help_text="Handed to Prometheus by service discovery; not above the interval. Empty: as prometheus.yml says.",
    )
    source = models.CharField(max_length=8, choices=Source, default=Source.ADMIN, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"/metrics/{self.name}"


class LabelRule(models.Model):
    """One entry of Prometheus's relabel_configs. Scope: a namespace, a team (namespace empty), or the hub (both empty)."""

    class Action(models.TextChoices):
        REPLACE = "replace"
        KEEP = "keep"
        DROP = "drop"
        KEEPEQUAL = "keepequal"
        DROPEQUAL = "dropequal"
        HASHMOD = "hashmod"
        LABELMAP = "labelmap"
        LABELDROP = "labeldrop"
        LABELKEEP = "labelkeep"
        LOWERCASE = "lowercase"
        UPPERCASE = "uppercase"

    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="label_rules"
    )
    namespace = models.ForeignKey(
        Namespace, on_delete=models.CASCADE, null=True, blank=True, related_name="label_rules"
    )
    position = models.PositiveIntegerField(default=0, help_text="Rules of a scope apply in this order.")
    action = models.CharField(max_length=10, choices=Action, default=Action.REPLACE)
    source_labels = models.JSONField(default=list, blank=True)
    separator = models.CharField(max_length=20, default=";", blank=True)
    regex = models.TextField(default="(.*)", blank=True)
    modulus = models.PositiveBigIntegerField(default=0)
    target_label = models.CharField(max_length=200, blank=True)
    replacement = models.TextField(default="$1", blank=True)
    source = models.CharField(max_length=8, choices=Source, default=Source.ADMIN, editable=False)

    history = HistoricalRecords()

    class Meta:
        ordering = ["team__name", "namespace__name", "position", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(team=None) | models.Q(namespace=None),
                name="a_rule_belongs_to_a_team_or_to_a_namespace",
                violation_error_message="Choose a team or a namespace, not both.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_label or self.regex}"


class ScrapeToken(models.Model):
    """What Prometheus shows to scrape a team's namespaces. Only its hash is kept."""

    name = models.CharField(max_length=63, validators=[slug_validator])
    # Empty: a token of the platform, for the namespaces of all teams.
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="tokens")
    namespaces = models.ManyToManyField(
        Namespace, blank=True, related_name="tokens", help_text="None chosen: all namespaces of the team."
    )
    prefix = models.CharField(max_length=12, editable=False, help_text="The token's first characters.")
    # SHA-256 is enough: a token has 256 random bits, so there is nothing to guess and no reason to be slow.
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    token_reference = models.JSONField(default=dict, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it doesn't expire.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_address = models.GenericIPAddressField(null=True, blank=True, editable=False)
    source = models.CharField(max_length=8, choices=Source, default=Source.ADMIN, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    history = HistoricalRecords(
        excluded_fields=["token_hash", "last_used_at", "last_used_address"], m2m_fields=["namespaces"]
    )

    class Meta:
        ordering = ["team__name", "name"]
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="one_token_of_a_name_in_a_team"),
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(team=None), name="one_platform_token_of_a_name"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @staticmethod
    def hash(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    @staticmethod
    def generate() -> str:
        return TOKEN_PREFIX + random_secrets.token_urlsafe(32)

    def set_token(self, token: str) -> None:
        self.prefix = token[:12] if token.startswith(TOKEN_PREFIX) else token[:4]
        self.token_hash = self.hash(token)

    def is_usable(self, now: datetime | None = None) -> bool:
        moment = now or timezone.now()
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > moment)


class ConfigurationVersion(models.Model):
    """One row that counts changes of the configuration, so that a worker can ask cheaply whether it has the newest."""

    number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)

    @classmethod
    def read(cls) -> int:
        return cls.objects.filter(pk=1).values_list("number", flat=True).first() or 0

    @classmethod
    def bump(cls) -> None:
        if not cls.objects.filter(pk=1).update(number=models.F("number") + 1):
            cls.objects.get_or_create(pk=1, defaults={"number": 1})
