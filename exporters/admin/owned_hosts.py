"""Allow a credential's use on a host when an owner assigns it to a namespace there."""

from django.core.exceptions import ValidationError

from ..access import roles
from ..credentials.endpoints import check_host
from ..models import Credential
from .base import comes_from_file


def allow(user: roles.User, credential: Credential | None, host: str) -> str:
    """Add the host to the credential in memory, if the user may change the credential; return the added host.

    Callers pass the returned host to `Credential.allow_host` once the namespace is saved. It is empty if nothing was
    added, or if the credential is new and is saved with the host.
    """
    if credential is None or credential.team_id is None or not host:
        return ""
    # A user who enters a new secret in the same form decides where it is sent.
    is_new = credential.pk is None
    if not is_new and (
        comes_from_file(credential) or not roles.allows(user, "change", Credential, credential)
    ):
        return ""
    try:
        added = check_host(host).host_port
    except ValidationError:
        return ""  # the host field reports it
    if credential.kind == Credential.Kind.CONNECTION_STRING and ":" not in added.rpartition("]")[2]:
        return ""  # the connection string names its host
    if added in credential.hosts:
        return ""
    credential.hosts = [*credential.hosts, added]
    return "" if is_new else added
