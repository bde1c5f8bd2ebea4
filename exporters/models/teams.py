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
        help_text="Lowercase letters, digits and hyphens. Becomes the target label “team” in Prometheus.",
        error_messages={"unique": "A team with this name already exists."},
    )
    description = models.CharField(max_length=200, blank=True, help_text="Shown to people only.")
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
        VIEWER = "viewer", "Viewer: can see targets, status and previews"
        EDITOR = "editor", "Editor: can also change namespaces, rules and tokens"
        OWNER = "owner", "Owner: can also change credentials and members"

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
                violation_error_message="This user is already a member of this team. Change the role there.",
            )
        ]

    def __str__(self) -> str:
        return f"{name_of(self, 'user')} in {name_of(self, 'team')}"
