"""Teams and their members."""

from django.conf import settings
from django.db import models

from .changes import kept_history, name_of
from .source import source_field
from .validators import slug_validator
from .version import Versioned


class Team(Versioned):
    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[slug_validator],
        help_text="Lower-case letters, digits and hyphens. Becomes the target label “team” in Prometheus.",
        error_messages={"unique": "There is already a team of this name."},
    )
    description = models.CharField(max_length=200, blank=True, help_text="What the team runs, for people.")
    source = source_field()
    created_at = models.DateTimeField(auto_now_add=True)

    history = kept_history()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user's role in a team."""

    class Role(models.TextChoices):
        VIEWER = "viewer", "Viewer: sees targets, status and previews"
        EDITOR = "editor", "Editor: also namespaces, rules and tokens"
        OWNER = "owner", "Owner: also credentials and members"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.VIEWER)

    history = kept_history()

    class Meta:
        ordering = ["team__name", "user__username"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "team"],
                name="one_membership_for_a_user_in_a_team",
                violation_error_message="This user is already in this team; change the role there.",
            )
        ]

    def __str__(self) -> str:
        return f"{name_of(self, 'user')} in {name_of(self, 'team')}"
