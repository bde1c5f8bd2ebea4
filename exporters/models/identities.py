"""Which teams may use the platform's credentials, and for which hosts."""

from django.core.exceptions import ValidationError
from django.db import models

from ..credentials.endpoints import check_hosts
from .changes import kept_history, name_of
from .credentials import Credential
from .teams import Team
from .version import Versioned


class IdentityGrant(Versioned):
    """Lets a team use a platform credential for the listed hosts only.

    Without grants, a team could point the hub's own identity at any namespace that the identity can read.
    """

    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="grants")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="identity_grants")
    hosts = models.JSONField(
        default=list, help_text="Host names, one per line, for example payments-prod.servicebus.windows.net."
    )

    history = kept_history()

    class Meta:
        ordering = ["credential__name", "team__name"]
        constraints = [
            models.UniqueConstraint(
                fields=["credential", "team"],
                name="one_grant_of_a_credential_to_a_team",
                violation_error_message="It is already granted to this team. Add the hosts there.",
            )
        ]

    def __str__(self) -> str:
        return f"{name_of(self, 'credential')} for {name_of(self, 'team')}"

    def clean(self) -> None:
        """Normalise the hosts for comparison; raise ValidationError for an invalid one."""
        if not isinstance(self.hosts, list) or not self.hosts:
            raise ValidationError(
                {"hosts": "Enter at least one host. The team can use the identity only for these hosts."}
            )
        try:
            self.hosts = check_hosts(self.hosts)
        except ValidationError as error:
            raise ValidationError({"hosts": error}) from None
        if self.credential_id and self.credential.team_id is not None:
            raise ValidationError("Only a platform credential (without a team) can be granted to teams.")
