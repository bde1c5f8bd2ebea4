"""A credential -> the Authorization header of management requests.

Shared access signatures are made here: HMAC-SHA256 over the quoted resource URI and the expiry, as Microsoft's page
"Service Bus access control with Shared Access Signatures" describes. One signature covers a whole namespace, so it
serves every request of every scrape until it is about to expire. Entra ID tokens come from azure-identity.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qs, quote

from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from .connection import Endpoint, EndpointNotAllowedError
from .errors import Reason, ServiceBusError

logger = logging.getLogger(__name__)

SCOPE = "https://servicebus.azure.net/.default"
_SIGNATURE_SECONDS = 3600
# A token is renewed this long before it expires: more than any scrape takes, and time to go on trying.
_RENEW_BEFORE_SECONDS = 300
_RETRY_SECONDS = 15


class Credential(Protocol):
    """Lives on the I/O loop and is shared by all scrapes of a process."""

    async def authorization(self, endpoint: Endpoint) -> str:
        """Return the header's value. Raises ServiceBusError (credential, ...) without any secret in its message."""
        ...

    async def close(self) -> None: ...


class SharedKeyCredential:
    """Signs with a shared access key; with an entity path for that entity alone, as its own key can do no more."""

    def __init__(
        self, key_name: str, key: str, entity_path: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._key_name = key_name
        self._key = key.encode()
        self._entity_path = entity_path
        self._clock = clock
        self._signed: dict[Endpoint, tuple[str, float]] = {}

    async def authorization(self, endpoint: Endpoint) -> str:
        now = self._clock()
        header, expires_at = self._signed.get(endpoint, ("", 0.0))
        if expires_at - now < _RENEW_BEFORE_SECONDS:
            expires_at = now + _SIGNATURE_SECONDS
            resource = f"{endpoint.base_url}/{quote(self._entity_path)}"
            header = sign(resource, self._key_name, self._key, int(expires_at))
            self._signed[endpoint] = (header, expires_at)
        return header

    async def close(self) -> None:
        self._signed.clear()


def sign(resource: str, key_name: str, key: bytes, expires_at: int) -> str:
    """Return `SharedAccessSignature sr=...&sig=...&se=...&skn=...` for a resource URI; `expires_at` in Unix seconds."""
    quoted = quote(resource, safe="")
    digest = hmac.new(key, f"{quoted}\n{expires_at}".encode(), hashlib.sha256).digest()
    signature = quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={quoted}&sig={signature}&se={expires_at}&skn={quote(key_name, safe='')}"


class SharedAccessSignatureCredential:
    """Shows a ready-made signature as it is."""

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        self._token = token
        self._clock = clock
        self.expires_at = signature_expiry(token)

    async def authorization(self, endpoint: Endpoint) -> str:
        if self.expires_at is not None and self.expires_at <= self._clock():
            raise ServiceBusError(
                Reason.CREDENTIAL,
                f"The SharedAccessSignature expired at {_utc(self.expires_at)}; enter a new one in the credential.",
            )
        return self._token

    async def close(self) -> None:
        """Nothing to close."""


class CredentialPair:
    """The active credential, and a spare one for when it is refused: Azure has two keys, so that one can be made anew.

    While the active one is refused the spare one comes first; the active one is tried again once a minute, which costs
    a request that is refused.
    """

    _AGAIN_SECONDS = 60.0

    def __init__(
        self,
        active: Credential,
        spare: Credential,
        on_spare: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._active = active
        self._spare = spare
        self._on_spare = on_spare
        self._clock = clock
        self._spare_until = -1.0

    async def authorization(self, endpoint: Endpoint) -> str:
        if self._clock() >= self._spare_until:
            try:
                return await self._active.authorization(endpoint)
            except ServiceBusError as error:
                # An expired signature, a client secret that Entra ID refuses.
                if error.reason is not Reason.CREDENTIAL:
                    raise
                self._spare_until = self._clock() + self._AGAIN_SECONDS
                try:
                    return await self._show_spare(endpoint)
                except ServiceBusError:
                    raise error from None  # the active one is what has to be mended
        return await self._show_spare(endpoint)

    async def after_refusal(self, endpoint: Endpoint, refused: str) -> str | None:
        """Return what to show after a 401, None when there is nothing else."""
        try:
            if refused == await self._spare.authorization(endpoint):
                self._spare_until = -1.0
                other = await self._active.authorization(endpoint)
            else:
                self._spare_until = self._clock() + self._AGAIN_SECONDS
                other = await self._show_spare(endpoint)
        except ServiceBusError:
            return None
        return None if other == refused else other

    async def _show_spare(self, endpoint: Endpoint) -> str:
        header = await self._spare.authorization(endpoint)
        self._on_spare()
        return header

    async def close(self) -> None:
        """Leave both open: they are kept, and closed, by whoever made them."""


def signature_expiry(token: str) -> float | None:
    """Return a SharedAccessSignature's `se` in Unix seconds, None when it has none that can be read."""
    text = parse_qs(token.partition(" ")[2]).get("se", [""])[0]
    return float(text) if text.isdecimal() else None


class EntraCredential:
    """Keeps one token of azure-identity and renews it before it expires, once however many scrapes ask.

    While the old token is good, a renewal that fails or is slow holds nobody up.
    """

    def __init__(self, identity: Any, clock: Callable[[], float] = time.time) -> None:
        self._identity = identity
        self._clock = clock
        self._token: AccessToken | None = None
        self._retry_at = 0.0
        self._renewal: asyncio.Task[AccessToken] | None = None

    async def authorization(self, endpoint: Endpoint) -> str:
        now = self._clock()
        token = self._token
        if token is not None and token.expires_on - now > _RENEW_BEFORE_SECONDS:
            return f"Bearer {token.token}"
        # A token that lives shorter than the margin is renewed at half of its life instead.
        usable = token is not None and token.expires_on - now > 1
        if usable and now < self._retry_at:
            return f"Bearer {token.token}"  # type: ignore[union-attr]
        renewal = self._renew()
        if usable:
            return f"Bearer {token.token}"  # type: ignore[union-attr]
        # Shielded: the scrape that asked first may give up, the others still wait for the same answer.
        return f"Bearer {(await asyncio.shield(renewal)).token}"

    def _renew(self) -> "asyncio.Task[AccessToken]":
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._fetch())
            self._renewal.add_done_callback(_note_failure)
        return self._renewal

    async def _fetch(self) -> AccessToken:
        self._retry_at = self._clock() + _RETRY_SECONDS
        try:
            token: AccessToken = await self._identity.get_token(SCOPE)
        except Exception as error:
            raise _token_error(error) from None
        lifetime = token.expires_on - self._clock()
        self._retry_at = self._clock() + max(1.0, min(_RETRY_SECONDS, lifetime / 2))
        self._token = token
        return token

    async def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        await self._identity.close()


def _note_failure(task: "asyncio.Task[AccessToken]") -> None:
    # Reading the exception keeps asyncio from reporting it as forgotten: a scrape that waited has it, one that went on
    # with the old token needs none.
    if not task.cancelled() and task.exception() is not None:
        logger.debug("A token could not be renewed: %s", task.exception())


def _token_error(error: Exception) -> ServiceBusError:
    """Say why there is no token, in words that hold no secret: azure-identity's own texts can quote whole answers."""
    if isinstance(error, ClientAuthenticationError | HttpResponseError):
        text = str(error)
        code = next((word.strip(":,.'\"") for word in text.split() if word.startswith("AADSTS")), "")
        status = getattr(error, "status_code", None)
        said = f" ({code})" if code else f" (status {status})" if status else ""
        return ServiceBusError(
            Reason.CREDENTIAL,
            f"Entra ID gave no token{said}. Check the tenant, the client, and that the secret or certificate is "
            "current.",
        )
    if isinstance(error, ServiceRequestError | ServiceResponseError | OSError):
        return ServiceBusError(
            Reason.CREDENTIAL, "The token endpoint can't be reached, so there is no token."
        )
    if isinstance(error, EndpointNotAllowedError):
        return ServiceBusError(Reason.CREDENTIAL, f"No token was asked for. {error}")
    if isinstance(error, ValueError):
        return ServiceBusError(
            Reason.CREDENTIAL, "The credential's settings are not accepted by azure-identity."
        )
    return ServiceBusError(Reason.CREDENTIAL, f"There is no token: {type(error).__name__}.")


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))


# The ways of Entra ID. azure-identity is imported where it is needed: it costs a worker a quarter of a second.
# `authority` is a login host; instance discovery is off, as it would ask another host about the one that was given.


def client_secret_credential(
    tenant_id: str, client_id: str, secret: str, *, authority: str = "", transport: Any = None
) -> EntraCredential:
    from azure.identity.aio import ClientSecretCredential

    return EntraCredential(
        ClientSecretCredential(tenant_id, client_id, secret, **_options(authority, transport))
    )


def client_certificate_credential(
    tenant_id: str,
    client_id: str,
    pem: bytes,
    *,
    password: str = "",
    authority: str = "",
    transport: Any = None,
) -> EntraCredential:
    from azure.identity.aio import CertificateCredential

    try:
        identity = CertificateCredential(
            tenant_id,
            client_id,
            certificate_data=pem,
            password=password or None,
            **_options(authority, transport),
        )
    except ValueError:
        raise ServiceBusError(
            Reason.CREDENTIAL, "The certificate or its private key can't be read; both are needed, as PEM."
        ) from None
    return EntraCredential(identity)


def managed_identity_credential(client_id: str = "", *, transport: Any = None) -> EntraCredential:
    from azure.identity.aio import ManagedIdentityCredential

    options = {"transport": transport} if transport is not None else {}
    return EntraCredential(ManagedIdentityCredential(client_id=client_id or None, **options))


def workload_identity_credential(
    tenant_id: str = "",
    client_id: str = "",
    token_file: str = "",
    *,
    authority: str = "",
    transport: Any = None,
) -> EntraCredential:
    from azure.identity.aio import WorkloadIdentityCredential

    try:
        identity = WorkloadIdentityCredential(
            tenant_id=tenant_id or None,
            client_id=client_id or None,
            token_file_path=token_file or None,
            **_options(authority, transport),
        )
    except ValueError:
        raise ServiceBusError(
            Reason.CREDENTIAL,
            "Workload identity needs a tenant, a client and a token file: in the credential, or in AZURE_TENANT_ID, "
            "AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE of the hub.",
        ) from None
    return EntraCredential(identity)


def _options(authority: str, transport: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"disable_instance_discovery": True}
    if authority:
        # With a port it would be taken for a scheme.
        options["authority"] = f"https://{authority}"
    if transport is not None:
        options["transport"] = transport
    return options
