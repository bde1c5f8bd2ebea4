"""Scrape tokens: what Prometheus shows."""

import hashlib
import secrets as random_secrets
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.utils import timezone

from ..validators import slug_validator
from .changes import kept_history
from .namespaces import Namespace
from .source import source_field
from .teams import Team

TOKEN_PREFIX = "sbh_"  # noqa: S105 - what a token starts with, so that secret scanners recognise a leaked one


class ScrapeToken(models.Model):
    """What Prometheus shows to scrape a team's namespaces. Only its hash is kept."""

    name = models.CharField(
        max_length=63,
        validators=[slug_validator],
        help_text="Lower-case letters, digits and hyphens. For whom it is, for example prometheus-eu.",
    )
    # Empty: a token of the platform, for the namespaces of all teams.
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="tokens",
        help_text="Whose namespaces it opens. Empty: those of all teams.",
    )
    namespaces = models.ManyToManyField(
        Namespace, blank=True, related_name="tokens", help_text="None chosen: all namespaces of the team."
    )
    prefix = models.CharField("begins with", max_length=12, blank=True, editable=False)
    # SHA-256 is enough: a token has 256 random bits, so there is nothing to guess and no reason to be slow.
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    token_reference = models.JSONField(default=dict, blank=True, editable=False)
    expires_at = models.DateTimeField("expires", null=True, blank=True, help_text="Empty: it doesn't expire.")
    revoked_at = models.DateTimeField("revoked", null=True, blank=True)  # in no form; see the history
    last_used_at = models.DateTimeField("last used", null=True, blank=True, editable=False)
    last_used_address = models.GenericIPAddressField(null=True, blank=True, editable=False)
    source = source_field()
    created_at = models.DateTimeField(auto_now_add=True)

    history = kept_history(
        excluded_fields=["token_hash", "last_used_at", "last_used_address"], m2m_fields=["namespaces"]
    )

    class Meta:
        ordering = ["team__name", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["team", "name"],
                name="one_token_of_a_name_in_a_team",
                violation_error_message="The team has a token of this name already.",
            ),
            models.UniqueConstraint(
                fields=["name"],
                condition=models.Q(team=None),
                name="one_platform_token_of_a_name",
                violation_error_message="There is a token of this name for all teams already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)" if self.prefix else self.name

    @staticmethod
    def hash(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell two tokens apart."""
        return self.token_hash[:8]

    @staticmethod
    def generate() -> str:
        return TOKEN_PREFIX + random_secrets.token_urlsafe(32)

    def set_token(self, token: str) -> None:
        """Keep a token's hash, and the beginning by which people recognise it, where that is safe."""
        visible = 12 if token.startswith(TOKEN_PREFIX) else 4
        self.prefix = token[:visible] if len(token) >= 24 else ""
        self.token_hash = self.hash(token)

    def is_usable(self, now: datetime | None = None) -> bool:
        moment = now or timezone.now()
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > moment)

    def revoke(self, reason: str) -> None:
        """Make the token open nothing, for good; a token that was revoked already keeps its time."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self._change_reason = reason
            self.save()

    def clean(self) -> None:
        # The constraints say it too, but not in a form that shows the team and can't change it.
        others = ScrapeToken.objects.filter(team=self.team_id, name=self.name).exclude(pk=self.pk)
        if self.pk and others.exists():
            raise ValidationError({"name": "There is a token of this name already."})
        if self.pk and self.team_id is not None:
            strange = self.namespaces.exclude(team_id=self.team_id).first()
            if strange is not None:
                raise ValidationError(
                    {"team": f"The token is limited to namespace “{strange}”, which belongs to another team."}
                )


@receiver(pre_delete, sender=Namespace, dispatch_uid="revoke_tokens_of_a_namespace")
def _revoke_tokens_of(sender: type[Namespace], instance: Namespace, **kwargs: Any) -> None:
    """Revoke the tokens that opened this namespace alone: limited to nothing, they would open all of the
    team.
    """
    for token in instance.tokens.all():
        if not token.namespaces.exclude(pk=instance.pk).exists():
            token.revoke(f"its only namespace, {instance.name}, was deleted")
