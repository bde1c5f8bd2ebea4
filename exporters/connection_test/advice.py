"""How to fix a failed connection test: the missing permission or role, and where to set it."""

from ..configuration.targets import CredentialSpec
from ..models import Credential
from ..scraping.advice import ADVICE
from ..servicebus.connection import ConnectionString
from ..servicebus.errors import Reason

_NETWORKING = "In the Azure portal: the namespace > Networking > add the hub's address or a private endpoint."
_ROLE = (
    "In the Azure portal: the namespace > Access control (IAM) > Add role assignment > Azure Service Bus Data Owner, "
    "or a custom role with Microsoft.ServiceBus/namespaces/*/read, for the identity of this credential. "
    "An assignment can take a few minutes to take effect."
)
_TOKENS: dict[str, str] = {
    Credential.Kind.CLIENT_SECRET: "In Entra ID: App registrations > the application > Overview shows the tenant "
    "and client IDs; Certificates & secrets shows the secrets and their expiry dates.",
    Credential.Kind.CLIENT_CERTIFICATE: "In Entra ID: App registrations > the application > Certificates & secrets "
    "must list this certificate's thumbprint.",
    Credential.Kind.MANAGED_IDENTITY: "Enable a managed identity for the machine that the hub runs on (Identity > "
    "System assigned), or add a user-assigned one and enter its client ID here.",
    Credential.Kind.WORKLOAD_IDENTITY: "In Entra ID: the application > Certificates & secrets > Federated credentials "
    "must list the hub's service account. The token file must be mounted in the hub's pod.",
}


def fix(reason: Reason, spec: CredentialSpec | None) -> str:
    """Return what to do about a failure with this credential."""
    if spec is None:
        return "Choose a credential or paste a connection string."
    connection = spec.connection
    by_key = spec.kind == Credential.Kind.CONNECTION_STRING
    match reason:
        case Reason.UNAUTHORIZED if by_key:
            return _key(connection)
        case Reason.UNAUTHORIZED:
            return _ROLE
        case Reason.FORBIDDEN:
            return f"{_NETWORKING} If the address is already allowed: {_key(connection) if by_key else _ROLE}"
        case Reason.CREDENTIAL:
            return _TOKENS.get(spec.kind, "Enter a valid connection string.")
        case Reason.NOT_FOUND if connection is not None and connection.entity_path:
            return (
                f"The queue or topic “{connection.entity_path}” (EntityPath) doesn't exist: it was deleted or is "
                f"misspelled. Copy the connection string again."
            )
    return ADVICE.get(reason, "")


def _key(connection: ConnectionString | None) -> str:
    name = connection.key_name if connection is not None else ""
    policy = f"the policy {name}" if name else "the policy"
    if connection is not None and connection.entity_path:
        where = f"the namespace > {connection.entity_path} > Shared access policies"
    else:
        where = "the namespace > Shared access policies"
    return (
        f"In the Azure portal: {where} > {policy} > tick Manage and save. If it is already ticked, the key was "
        f"regenerated: copy the connection string again and paste it here."
    )
