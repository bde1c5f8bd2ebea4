"""Links to the wall page, which wall-mounted screens show without a sign-in."""

from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from .bearer import BearerSecret, Scope
from .changes import kept_history
from .namespaces import Namespace
from .teams import Team
from .validators import slug_validator

_DAYS = 365


def in_a_year() -> datetime:
    return timezone.now() + timedelta(days=_DAYS)


class WallLink(BearerSecret):
    """A secret URL that shows the state of the targets of one team or all teams, and nothing else."""

    Scope = Scope
    PREFIX = "sbw_"

    name = models.CharField(
        max_length=63,
        validators=[slug_validator],
        help_text="Lowercase letters, digits and hyphens. The location of the screen, for example office-2nd-floor.",
    )
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="wall_links",
        help_text="The team whose targets it shows. Leave empty for a platform link, for several teams.",
    )
    scope = models.CharField(
        "shows",
        max_length=9,
        choices=[(each.value, each.label) for each in Scope if each is not Scope.LISTED],
    )
    expires_at = models.DateTimeField("expires", default=in_a_year, help_text="The address then returns 404.")

    history = kept_history(excluded_fields=["token_hash"])

    class Meta(BearerSecret.Meta):
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def opened_by(cls, token: str) -> "WallLink | None":
        """Return the valid link with this token; None for an unknown, revoked or expired one."""
        link = cls.objects.filter(token_hash=cls.hash(token)).select_related("team").first()
        return link if link is not None and link.is_usable() else None

    @property
    def opens(self) -> str:
        """What the link shows, in words."""
        return "all teams" if self.scope == Scope.ALL_TEAMS else f"team {self.team}"

    def targets(self) -> models.QuerySet[Namespace]:
        """Return the namespaces that the page shows."""
        match self.scope:
            case Scope.ALL_TEAMS:
                return Namespace.objects.all()
            case Scope.TEAM:
                # Without a team, nothing matches: every namespace has one.
                return Namespace.objects.filter(team=self.team_id)
        return Namespace.objects.none()
