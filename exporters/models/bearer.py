"""What opens something to whoever shows it: made by the hub, shown once, kept as a hash."""

import hashlib
import secrets as random_secrets
from datetime import datetime
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone


class Scope(models.TextChoices):
    """What a secret opens. It is a value of its own, so that nothing which goes missing can widen it."""

    ALL_TEAMS = "all_teams", "All namespaces of all teams"
    TEAM = "team", "All namespaces of the team"
    LISTED = "listed", "Only the namespaces listed"


class BearerSecret(models.Model):
    """A secret that ends: by itself at `expires_at`, for good by `revoke`. Only its hash is kept."""

    # What it starts with, so that secret scanners recognise a leaked one.
    PREFIX: ClassVar[str]

    # SHA-256 is enough: it has 256 random bits, so there is nothing to guess and no reason to be slow.
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField("expires", null=True, blank=True, help_text="Empty: it doesn't expire.")
    # Editable, though in no form: else the history would not show its change.
    revoked_at = models.DateTimeField("revoked", null=True, blank=True)
    created_at = models.DateTimeField("made", auto_now_add=True)
    # No default: what opens something says what. An unknown value opens nothing.
    scope = models.CharField("opens", max_length=9, choices=Scope)
    team_id: int | None  # of the field `team` that each kind has

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scope=Scope.ALL_TEAMS, team=None)
                | models.Q(scope=Scope.TEAM, team__isnull=False)
                | models.Q(scope=Scope.LISTED),
                name="%(class)s_opens_what_its_scope_says",
            )
        ]

    def clean_scope(self) -> None:
        """Raise ValidationError, keyed by field, where the scope and the team contradict each other."""
        if self.scope == Scope.ALL_TEAMS and self.team_id is not None:
            raise ValidationError({"scope": "Leave the team empty to open the namespaces of all teams."})
        if self.scope == Scope.TEAM and self.team_id is None:
            raise ValidationError({"team": "Choose the team whose namespaces this opens."})

    def clean(self) -> None:
        self.clean_scope()

    @classmethod
    def generate(cls) -> str:
        return cls.PREFIX + random_secrets.token_urlsafe(32)

    @staticmethod
    def hash(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell two of them apart."""
        return self.token_hash[:8]

    def set_token(self, token: str) -> None:
        """Keep the secret's hash."""
        self.token_hash = self.hash(token)

    @property
    def state(self) -> str:
        """usable, expired or revoked, as people read it."""
        if self.revoked_at is not None:
            return "revoked"
        return "usable" if self.is_usable() else "expired"

    def is_usable(self, now: datetime | None = None) -> bool:
        moment = now or timezone.now()
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > moment)

    def revoke(self, reason: str) -> None:
        """Make it open nothing, for good; what was revoked already keeps its time."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self._change_reason = reason
            # Nothing else, so that this puts nothing back that somebody changes at the same moment; and at once with
            # the configuration's version, by which an import knows that something has changed.
            with transaction.atomic():
                self.save(update_fields=["revoked_at"])
