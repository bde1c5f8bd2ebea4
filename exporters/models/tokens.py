"""Scrape tokens: what Prometheus shows."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from ..validators import slug_validator
from .bearer import BearerSecret
from .changes import kept_history
from .namespaces import Namespace
from .source import source_field
from .teams import Team


class ScrapeToken(BearerSecret):
    """What Prometheus shows to scrape a team's namespaces."""

    PREFIX = "sbh_"

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
    token_reference = models.JSONField(default=dict, blank=True, editable=False)
    last_used_at = models.DateTimeField("last used", null=True, blank=True, editable=False)
    last_used_address = models.GenericIPAddressField(null=True, blank=True, editable=False)
    source = source_field()

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

    def set_token(self, token: str) -> None:
        """Keep a token's hash, and the beginning by which people recognise it, where that is safe."""
        super().set_token(token)
        visible = 12 if token.startswith(self.PREFIX) else 4
        self.prefix = token[:visible] if len(token) >= 24 else ""

    def clean(self) -> None:
        # The constraints say it too, but not in a form that shows the team and can't change it.
        others = ScrapeToken.objects.filter(team=self.team_id, name=self.name).exclude(pk=self.pk)
        if self.pk and others.exists():
            raise ValidationError({"name": "There is a token of this name already."})
        moves = ScrapeToken.objects.filter(pk=self.pk).exclude(team=self.team_id).exists()
        if moves and self.team_id is not None:
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
