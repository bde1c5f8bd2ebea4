"""The kinds of credentials, and which of a credential's fields each kind uses."""

from collections.abc import Set

from django.db import models

from .secret_slots import SECRET_FIELDS


class CredentialKind(models.TextChoices):
    CONNECTION_STRING = "connection_string", "Connection string (shared access key or signature)"
    CLIENT_SECRET = "client_secret", "Entra ID application with a client secret"
    CLIENT_CERTIFICATE = "client_certificate", "Entra ID application with a certificate"
    MANAGED_IDENTITY = "managed_identity", "Managed identity of the hub's machine"
    WORKLOAD_IDENTITY = "workload_identity", "Workload identity (federated token file)"

    @property
    def needed(self) -> frozenset[str]:
        return _NEEDED[self]

    @property
    def possible(self) -> frozenset[str]:
        """The fields that the kind needs, and its optional ones."""
        return _NEEDED[self] | _OPTIONAL[self]

    @property
    def is_platforms(self) -> bool:
        """Whether this is the hub's own identity, which belongs to no team: a team could send it to any host."""
        return self in {CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY}

    def wrong_fields(self, given: Set[str]) -> dict[str, str]:
        """Return errors, by field, for needed fields that are missing and given fields that the kind doesn't use.

        The latter must stay empty: a value that has no effect would only mislead.
        """
        errors: dict[str, str] = {}
        for name in KIND_FIELDS:
            if name in self.needed and name not in given:
                errors[name] = f"Required for this kind: {self.label}."
            elif name in given and name not in self.possible:
                errors[name] = f"Leave empty: it has no effect for this kind: {self.label}."
        return errors


_APPLICATION = frozenset({"secret", "tenant_id", "client_id"})
_NEEDED: dict[CredentialKind, frozenset[str]] = {
    CredentialKind.CONNECTION_STRING: frozenset({"secret"}),
    CredentialKind.CLIENT_SECRET: _APPLICATION,
    CredentialKind.CLIENT_CERTIFICATE: _APPLICATION,
    CredentialKind.MANAGED_IDENTITY: frozenset(),
    # Empty fields are read from the pod's environment (AZURE_TENANT_ID and so on), which the cluster's webhook sets.
    CredentialKind.WORKLOAD_IDENTITY: frozenset(),
}
_OPTIONAL: dict[CredentialKind, frozenset[str]] = {
    CredentialKind.CONNECTION_STRING: frozenset({"spare_secret"}),
    CredentialKind.CLIENT_SECRET: frozenset({"authority", "spare_secret"}),
    CredentialKind.CLIENT_CERTIFICATE: frozenset({"authority", *SECRET_FIELDS}),
    CredentialKind.MANAGED_IDENTITY: frozenset({"client_id"}),
    CredentialKind.WORKLOAD_IDENTITY: frozenset({"tenant_id", "client_id", "authority", "token_file"}),
}
KIND_FIELDS = (*SECRET_FIELDS, "tenant_id", "client_id", "authority", "token_file")
