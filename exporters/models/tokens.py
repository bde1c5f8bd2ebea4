"""Scrape tokens, which Prometheus sends to authenticate."""

from django.core.exceptions import ValidationError
from django.db import models

from .bearer import BearerSecret, Scope
from .changes import kept_history
from .namespaces import Namespace
from .source import source_field
from .teams import Team
from .validators import slug_validator
from .version import Versioned


class ScrapeToken(Versioned, BearerSecret):
    """A token that Prometheus sends to scrape namespaces."""

    Scope = Scope
    PREFIX = "sbh_"

    name = models.CharField(
        max_length=63,
        validators=[slug_validator],
        help_text="Lowercase letters, digits and hyphens. Who uses it, for example prometheus-eu.",
    )
    # Empty: a platform token. Only the scope decides what a token has access to, never an empty team.
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="tokens",
        help_text="The team whose namespaces it gives access to. Leave empty for a platform token, for namespaces "
        "of several teams.",
    )
    namespaces = models.ManyToManyField(
        Namespace,
        blank=True,
        related_name="tokens",
        help_text="Used with “Only the namespaces listed”. While the list is empty, the token gives no access.",
    )
    prefix = models.CharField("starts with", max_length=12, blank=True, editable=False)
    token_reference = models.JSONField(default=dict, blank=True, editable=False)
    last_used_at = models.DateTimeField("last used", null=True, blank=True, editable=False)
    last_used_address = models.GenericIPAddressField(null=True, blank=True, editable=False)
    source = source_field()

    history = kept_history(
        excluded_fields=["token_hash", "last_used_at", "last_used_address"], m2m_fields=["namespaces"]
    )

    class Meta(BearerSecret.Meta):
        ordering = ["team__name", "name"]
        constraints = [
            *BearerSecret.Meta.constraints,
            models.UniqueConstraint(
                fields=["team", "name"],
                name="one_token_of_a_name_in_a_team",
                violation_error_message="The team already has a token with this name.",
            ),
            models.UniqueConstraint(
                fields=["name"],
                condition=models.Q(team=None),
                name="one_platform_token_of_a_name",
                violation_error_message="A token with this name for all teams already exists.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)" if self.prefix else self.name

    def set_token(self, token: str) -> None:
        """Set the token's hash and, if the token is long enough, the first characters by which people recognize it."""
        super().set_token(token)
        visible = 12 if token.startswith(self.PREFIX) else 4
        self.prefix = token[:visible] if len(token) >= 24 else ""

    def clean(self) -> None:
        super().clean()
        # The constraints check this too, but not in a form in which the team is read-only.
        others = ScrapeToken.objects.filter(team=self.team_id, name=self.name).exclude(pk=self.pk)
        if self.pk and others.exists():
            raise ValidationError({"name": "A token with this name already exists."})

    def listed(self) -> list[Namespace]:
        """Return the listed namespaces that the token has access to: those of its team, if it has one.

        A namespace that moves to another team stays on the list without effect.
        """
        return [each for each in self.namespaces.all() if self.team_id in (None, each.team_id)]

    @property
    def opens(self) -> str:
        """What the token has access to, as text for pages."""
        match self.scope:
            case Scope.ALL_TEAMS:
                return "all namespaces of all teams"
            case Scope.TEAM:
                return f"all namespaces of team {self.team}"
        count = len(self.listed())
        if count == 0:
            return "no namespaces"
        names = "1 namespace" if count == 1 else f"{count} namespaces"
        return f"{names} of team {self.team}" if self.team_id else names
