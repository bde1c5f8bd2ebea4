"""Links to the wall page: what a screen on the wall shows without anybody signed in."""

import secrets as random_secrets
from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from ..validators import slug_validator
from .changes import kept_history
from .teams import Team
from .tokens import ScrapeToken

WALL_PREFIX = "sbw_"
_DAYS = 365


def in_a_year() -> datetime:
    return timezone.now() + timedelta(days=_DAYS)


class WallLink(models.Model):
    """A secret address that shows the state of a team's targets and nothing else. Only its token's hash is kept."""

    name = models.CharField(
        max_length=63,
        validators=[slug_validator],
        help_text="Lower-case letters, digits and hyphens. Where the screen hangs, for example office-2nd-floor.",
    )
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="wall_links",
        help_text="Whose targets it shows. Empty: those of all teams.",
    )
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField(
        "expires", default=in_a_year, help_text="The address answers 404 from then on."
    )
    revoked_at = models.DateTimeField("revoked", null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    history = kept_history(excluded_fields=["token_hash"])

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def generate() -> str:
        return WALL_PREFIX + random_secrets.token_urlsafe(32)

    def set_token(self, token: str) -> None:
        self.token_hash = ScrapeToken.hash(token)

    @classmethod
    def opened_by(cls, token: str) -> "WallLink | None":
        """Return the link that a token opens now; None for an unknown, revoked or expired one."""
        link = cls.objects.filter(token_hash=ScrapeToken.hash(token)).select_related("team").first()
        return link if link is not None and link.is_usable() else None

    def is_usable(self, now: datetime | None = None) -> bool:
        return self.revoked_at is None and self.expires_at > (now or timezone.now())

    def revoke(self, reason: str) -> None:
        """Make the address answer 404, for good."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self._change_reason = reason
            self.save(update_fields=["revoked_at"])
