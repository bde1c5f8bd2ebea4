"""Live credentials: one object for each stored credential, so that its token or signature serves every scrape.

Only used on the I/O loop.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..configuration.targets import CredentialSpec, Target
from ..models import Credential
from ..servicebus import credentials, entra
from ..servicebus.errors import Reason, ServiceBusError
from ..servicebus.events import Events, SpareUsed

# More credentials than a hub has; each holds little more than a signature or a token.
_KEPT_CREDENTIALS = 4096

Transport = Callable[[], Any]

_pairs: dict[tuple[CredentialSpec, CredentialSpec], credentials.CredentialPair] = {}
_live: "OrderedDict[CredentialSpec, credentials.Credential]" = OrderedDict()


def credential_of(target: Target, transport: Transport, events: Events) -> credentials.Credential:
    """Return the live credential of a target, paired with its spare if there is one.

    `transport` returns a new transport for requests to Entra ID. `events` receives the uses of spares.
    """
    spec, spare = target.credential, target.spare
    assert spec is not None  # noqa: S101 - otherwise, there is a problem
    if spare is None:
        return _credential(spec, transport)
    pair = _pairs.get((spec, spare))
    if pair is None:
        if len(_pairs) >= _KEPT_CREDENTIALS:
            _pairs.clear()  # one request teaches each pair again which of the two is refused
        pair = _pairs[spec, spare] = credentials.CredentialPair(
            _credential(spec, transport),
            _credential(spare, transport),
            SpareUsed(spec.credential_id, spec.name, spec.team),
            events,
        )
    return pair


def _credential(spec: CredentialSpec, transport: Transport) -> credentials.Credential:
    """Return the live credential of a spec: created once, so that its token serves every scrape."""
    live = _live.get(spec)
    if live is None:
        live = _live[spec] = _make(spec, transport)
        if len(_live) > _KEPT_CREDENTIALS:
            _live.popitem(last=False)
    else:
        _live.move_to_end(spec)
    return live


def _make(spec: CredentialSpec, transport: Transport) -> credentials.Credential:
    connection = spec.connection
    if connection is not None:
        if connection.signature:
            return credentials.SharedAccessSignatureCredential(connection.signature)
        return credentials.SharedKeyCredential(connection.key_name, connection.key, connection.entity_path)
    options: dict[str, Any] = {"transport": transport()}
    match spec.kind:
        case Credential.Kind.CLIENT_SECRET:
            return entra.client_secret_credential(
                spec.tenant_id, spec.client_id, spec.secret, authority=spec.authority, **options
            )
        case Credential.Kind.CLIENT_CERTIFICATE:
            return entra.client_certificate_credential(
                spec.tenant_id,
                spec.client_id,
                spec.secret.encode(),
                password=spec.certificate_password,
                authority=spec.authority,
                **options,
            )
        case Credential.Kind.MANAGED_IDENTITY:
            return entra.managed_identity_credential(spec.client_id, **options)
        case Credential.Kind.WORKLOAD_IDENTITY:
            return entra.workload_identity_credential(
                spec.tenant_id, spec.client_id, spec.token_file, authority=spec.authority, **options
            )
    raise ServiceBusError(Reason.CREDENTIAL, f"Unknown credential kind: {spec.kind}.")


async def close() -> None:
    """Close all credentials; the next read creates new ones."""
    _pairs.clear()
    while _live:
        _, live = _live.popitem()
        await live.close()
