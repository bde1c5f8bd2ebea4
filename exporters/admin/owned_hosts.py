"""An owner of a credential allows a host by giving the credential to a namespace there."""

from django.core.exceptions import ValidationError

from ..access import roles
from ..credentials.endpoints import check_host
from ..models import Credential
from .base import comes_from_file


def allow(user: roles.User, credential: Credential | None, host: str) -> str:
    """Allow the host for this object in memory, if the user may change the credential; return what was added.

    The caller hands what is returned to `Credential.allow_host` once the namespace is saved. Empty: nothing was added.
    """
    if credential is None or credential.team_id is None or not host:
        return ""
    # Who enters a secret in the same form decides where it goes.
    is_new = credential.pk is None
    if not is_new and (
        comes_from_file(credential) or not roles.allows(user, "change", Credential, credential)
    ):
        return ""
    try:
        added = check_host(host).host_port
    except ValidationError:
        return ""  # the host's own error
    if credential.kind == Credential.Kind.CONNECTION_STRING and ":" not in added.rpartition("]")[2]:
        return ""  # it names its host itself
    if added in credential.hosts:
        return ""
    credential.hosts = [*credential.hosts, added]
    return "" if is_new else added
