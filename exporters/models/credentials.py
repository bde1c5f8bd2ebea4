"""Credentials, with which the hub authenticates to Service Bus."""

from django.core.exceptions import ValidationError
from django.db import models, transaction

from ..credentials import inspection
from ..credentials.encryption import SecretUnavailableError
from ..credentials.endpoints import check_hosts, endpoint_of
from ..servicebus.connection import ConnectionString
from .changes import kept_history
from .credential_kinds import KIND_FIELDS, CredentialKind
from .secret_slots import SECRET_FIELDS, SecretPair, SecretSlot
from .source import source_field
from .teams import Team
from .validators import (
    client_id_validator,
    slug_validator,
    validate_absolute_path,
    validate_authority,
    validate_tenant_id,
)
from .version import Versioned


class Credential(Versioned, SecretPair):
    Kind = CredentialKind

    name = models.CharField(
        max_length=63, validators=[slug_validator], help_text="Lowercase letters, digits and hyphens."
    )
    # Empty for platform credentials, above all the hub's identities. Teams use them through grants.
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="credentials",
        help_text="The team whose namespaces can use it. Leave empty for a platform credential, which you can grant "
        "to teams.",
    )
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.CONNECTION_STRING)
    tenant_id = models.CharField(
        "tenant",
        max_length=64,
        blank=True,
        validators=[validate_tenant_id],
        help_text="Directory (tenant) ID.",
    )
    client_id = models.CharField(
        "client",
        max_length=64,
        blank=True,
        validators=[client_id_validator],
        help_text="Application (client) ID. For a managed identity, only if it is user-assigned.",
    )
    authority = models.CharField(
        max_length=200,
        blank=True,
        validators=[validate_authority],
        help_text="Sign-in host of a sovereign cloud, for example login.microsoftonline.us. Leave empty for the public "
        "cloud.",
    )
    token_file = models.CharField(
        max_length=500,
        blank=True,
        validators=[validate_absolute_path],
        help_text="For workload identity: the path of the federated token. If empty, AZURE_FEDERATED_TOKEN_FILE "
        "is used.",
    )
    hosts = models.JSONField(
        default=list,
        blank=True,
        help_text="For a team's credential: the hosts that it can be sent to, one per line, for example "
        "payments-prod.servicebus.windows.net. A connection string can always be sent to its own host.",
    )
    source = source_field()
    created_at = models.DateTimeField(auto_now_add=True)

    history = kept_history(excluded_fields=[*SECRET_FIELDS, "spare_used_at"])

    class Meta:
        ordering = ["name"]
        # Names are unique per team, so that an error can't reveal the name of another team's credential.
        constraints = [
            models.UniqueConstraint(
                fields=["team", "name"],
                name="one_credential_of_a_name_in_a_team",
                violation_error_message="The team already has a credential with this name.",
            ),
            models.UniqueConstraint(
                fields=["name"],
                condition=models.Q(team=None),
                name="one_platform_credential_of_a_name",
                violation_error_message="A platform credential with this name already exists.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name_with_team(self) -> str:
        """The name with the team, because another team may use the same name."""
        return f"{self.name} ({self.team or 'all teams'})"

    def facts(self, slot: SecretSlot = SecretSlot.ACTIVE) -> inspection.SecretFacts:
        """Return the facts about a secret that may be shown.

        Raises SecretUnavailableError, and ValidationError (keyed by field) for a secret that its kind can't use.
        """
        if not self.has_secret(f"{slot}secret"):
            return inspection.SecretFacts()
        secret = self.reveal_secret(slot)
        try:
            match self.kind:
                case self.Kind.CONNECTION_STRING:
                    return inspection.examine_connection_string(secret)
                case self.Kind.CLIENT_SECRET:
                    return inspection.examine_client_secret(secret)
                case self.Kind.CLIENT_CERTIFICATE:
                    return inspection.examine_certificate(secret, self.reveal_certificate_password(slot))
        except ValidationError as error:
            field = "certificate_password" if error.code == inspection.PASSWORD else "secret"
            raise ValidationError({slot + field: error}) from None
        return inspection.SecretFacts()

    def take_expiry(self, slot: SecretSlot) -> inspection.SecretFacts:
        """Set the expiry that a secret contains; return its facts. For a client secret, keep the entered time."""
        facts = self.facts(slot)
        if self.kind != self.Kind.CLIENT_SECRET:
            setattr(self, f"{slot}expires_at", facts.expires_at)
        return facts

    def is_usable_by(self, team_id: int | None, host_port: str) -> bool:
        """Return whether the team may send it to this host: an owner allowed the host, or a grant lists it."""
        if self.team_id is not None:
            return self.team_id == team_id and _lists(self.hosts, host_port)
        if self.pk is None:
            return False
        # Loop over all of them, so that prefetched grants cost no query.
        return any(grant.team_id == team_id and _lists(grant.hosts, host_port) for grant in self.grants.all())

    def allow_host(self, host_port: str) -> None:
        """Add a host to a team's stored credential. Call it only on behalf of an owner of the team."""
        with transaction.atomic():
            stored = Credential.objects.select_for_update().get(pk=self.pk)
            if host_port not in stored.hosts:
                stored.hosts = sorted({*stored.hosts, host_port})
                stored._change_reason = "assigned to a namespace"  # type: ignore[attr-defined]
                stored.save(update_fields=["hosts"])

    def clean(self) -> None:
        if self.kind not in self.Kind.values:
            return  # the field's own validation reports it
        kind = self.Kind(self.kind)
        errors = kind.wrong_fields(self._given())
        if kind.is_platforms and self.team_id is not None:
            errors["team"] = (
                "This is the hub's own identity. Leave the team empty, and grant it to teams with a list of hosts."
            )
        if self.hosts and self.team_id is None:
            errors["hosts"] = "Leave this empty if there is no team: each grant lists its hosts."
        try:
            self.hosts = check_hosts(self.hosts or [])
        except ValidationError as error:
            errors["hosts"] = " ".join(error.messages)
        if errors:
            raise ValidationError(errors)
        facts = {}
        for slot in SecretSlot:
            try:
                facts[slot] = self.take_expiry(slot)
            except SecretUnavailableError as error:
                errors[f"{slot}secret"] = str(error)
        if errors:
            raise ValidationError(errors)
        self._clean_spare(facts[SecretSlot.ACTIVE], facts[SecretSlot.SPARE])
        if self.pk:
            self._clean_users(facts[SecretSlot.ACTIVE])

    def _clean_spare(self, facts: inspection.SecretFacts, spare: inspection.SecretFacts) -> None:
        if not self.has_secret("spare_secret"):
            return
        if self.reveal_secret(SecretSlot.SPARE) == self.reveal_secret():
            raise ValidationError(
                {"spare_secret": "This is the active secret. Enter the other key, or a new secret."}
            )
        one, other = facts.connection, spare.connection
        if one and other and (one.endpoint, one.entity_path) != (other.endpoint, other.entity_path):
            raise ValidationError(
                {
                    "spare_secret": f"This connection string is for {_whole(other)}, but the active one is for "
                    f"{_whole(one)}. Enter another key of the same namespace."
                }
            )

    def _given(self) -> set[str]:
        """Return the kind-dependent fields that are filled in."""
        return {
            name for name in KIND_FIELDS if getattr(self, name) or getattr(self, f"{name}_reference", None)
        }

    def _clean_users(self, facts: inspection.SecretFacts) -> None:
        """Raise ValidationError for a change that would break a namespace that uses this credential."""
        for namespace in self.namespaces.all():  # during an import, those that hub.yaml wants
            if self.team_id is not None and namespace.team_id != self.team_id:
                raise ValidationError(
                    {"team": f"Namespace “{namespace}” of team “{namespace.team}” uses this credential."}
                )
            try:
                endpoint = endpoint_of(namespace.host, facts.connection)
            except ValidationError as error:
                field = "secret" if facts.connection else "kind"
                raise ValidationError(
                    {field: f"Namespace “{namespace}” uses this credential. {' '.join(error.messages)}"}
                ) from None
            own = facts.connection is not None and endpoint == facts.connection.endpoint
            if self.team_id is not None and not own and endpoint.host_port not in self.hosts:
                raise ValidationError(
                    {
                        "hosts": f"Namespace “{namespace}” uses this credential for {endpoint}. Add that host here."
                    }
                )


def _lists(hosts: object, host_port: str) -> bool:
    """Return whether a list of hosts contains a host. The column can hold a string, which contains none."""
    return isinstance(hosts, list) and host_port in hosts


def _whole(connection: ConnectionString) -> str:
    return f"{connection.endpoint}/{connection.entity_path}".rstrip("/")
