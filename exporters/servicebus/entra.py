"""Credentials of Entra ID: a client secret, a certificate, or an identity of the machine or the cluster.

The tokens come from azure-identity, which is imported only where it is needed: the import takes a worker process a
quarter of a second. `authority` is a login host. Instance discovery is off, because it would query another host about
the given one.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from . import clock
from .connection import Endpoint, EndpointNotAllowedError
from .credentials import RENEW_BEFORE_SECONDS
from .errors import Reason, ServiceBusError

logger = logging.getLogger(__name__)

SCOPE = "https://servicebus.azure.net/.default"
# The time from the start of one renewal to the next, while the current token is still valid.
_RETRY_SECONDS = 15
# The timeout of a sign-in, including retries. azure-core would wait for 5 minutes each time, and no other sign-in
# starts until then.
_ANSWER_SECONDS = 30.0
# A token that Service Bus refuses is replaced if it is at least this old. For a newer one, the replacement would be
# refused too.
_REPLACED_AFTER_SECONDS = 300.0


class EntraCredential:
    """Keeps one token from azure-identity and renews it before it expires. All scrapes share one renewal.

    While the old token is valid, a failed or slow renewal delays no scrape.
    """

    def __init__(
        self,
        make_identity: Callable[[], Any],
        clock: Callable[[], float] = clock.now,
        date: Callable[[], float] = time.time,
    ) -> None:
        """`make_identity` returns a credential of azure-identity, each time with an empty token cache.

        `date` returns Unix seconds, to which a token's expiry refers. It is read once per token, when the token
        arrives.
        """
        self._make_identity = make_identity
        self._identity = make_identity()
        self._token_at = 0.0  # when the token arrived, or when it was last about to be replaced
        self._clock = clock
        self._date = date
        self._token: AccessToken | None = None
        self._expires_at = 0.0  # by `clock`, because the date may be changed while a token is kept
        self._retry_at = 0.0
        self._renewal: asyncio.Task[AccessToken] | None = None

    async def authorization(self, endpoint: Endpoint) -> str:
        now = self._clock()
        token = self._token
        if token is not None and self._expires_at - now > RENEW_BEFORE_SECONDS:
            return f"Bearer {token.token}"
        # A token that lives shorter than the margin is renewed after _RETRY_SECONDS, or at half of its life if earlier.
        usable = token is not None and self._expires_at - now > 1
        if usable and now < self._retry_at:
            return f"Bearer {token.token}"  # type: ignore[union-attr]
        renewal = self._renew()
        if usable:
            return f"Bearer {token.token}"  # type: ignore[union-attr]
        # Shielded: if the scrape that began the renewal is cancelled, others still wait for it.
        return f"Bearer {(await asyncio.shield(renewal)).token}"

    async def after_refusal(self, endpoint: Endpoint, refused: str) -> str | None:
        """Return a newer token than the refused one; None if that one is new itself or there is no other.

        A token can be refused before it expires, if it was revoked or the clock was changed.
        """
        if self._token is not None and refused != f"Bearer {self._token.token}":
            return f"Bearer {self._token.token}"  # another request has replaced it
        if self._renewal is None or self._renewal.done():
            if self._token is None or self._clock() - self._token_at < _REPLACED_AFTER_SECONDS:
                return None
            self._token_at = self._clock()
            # The old one's cache would return the same token. Both share a transport, so the old one isn't closed.
            self._identity = self._make_identity()
        try:
            header = f"Bearer {(await asyncio.shield(self._renew())).token}"
        except ServiceBusError:
            return None
        return None if header == refused else header

    def _renew(self) -> "asyncio.Task[AccessToken]":
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._fetch())
            self._renewal.add_done_callback(_note_failure)
        return self._renewal

    async def _fetch(self) -> AccessToken:
        self._retry_at = self._clock() + _RETRY_SECONDS
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                token: AccessToken = await self._identity.get_token(SCOPE)
        except TimeoutError:
            raise ServiceBusError(
                Reason.CREDENTIAL, "No token: the token endpoint did not respond."
            ) from None
        except Exception as error:
            raise _token_error(error) from None
        lifetime = token.expires_on - self._date()
        self._expires_at = self._clock() + lifetime
        self._retry_at = self._clock() + max(1.0, min(_RETRY_SECONDS, lifetime / 2))
        self._token, self._token_at = token, self._clock()
        return token

    async def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        await self._identity.close()


def _note_failure(task: "asyncio.Task[AccessToken]") -> None:
    # Reading the exception keeps asyncio from reporting it as never retrieved. A scrape that waited has received it;
    # one that went on with the old token doesn't need it.
    if not task.cancelled() and task.exception() is not None:
        logger.debug("Can't renew a token: %s", task.exception())


def _token_error(error: Exception) -> ServiceBusError:
    """Return why there is no token, without any secret: azure-identity's own messages can quote whole responses."""
    if isinstance(error, ClientAuthenticationError | HttpResponseError):
        text = str(error)
        code = next((word.strip(":,.'\"") for word in text.split() if word.startswith("AADSTS")), "")
        status = getattr(error, "status_code", None)
        said = f" ({code})" if code else f" (status {status})" if status else ""
        return ServiceBusError(
            Reason.CREDENTIAL,
            f"Entra ID refused to issue a token{said}. Check the tenant and client IDs, and that the secret or "
            "certificate is valid.",
        )
    if isinstance(error, ServiceRequestError | ServiceResponseError | OSError):
        return ServiceBusError(Reason.CREDENTIAL, "No token: the token endpoint can't be reached.")
    if isinstance(error, EndpointNotAllowedError):
        return ServiceBusError(Reason.CREDENTIAL, f"No token was requested. {error}")
    if isinstance(error, ValueError):
        return ServiceBusError(Reason.CREDENTIAL, "azure-identity rejected the credential's settings.")
    return ServiceBusError(Reason.CREDENTIAL, f"Can't get a token: {type(error).__name__}.")


def client_secret_credential(
    tenant_id: str, client_id: str, secret: str, *, authority: str = "", transport: Any = None
) -> EntraCredential:
    from azure.identity.aio import ClientSecretCredential

    return EntraCredential(
        lambda: ClientSecretCredential(tenant_id, client_id, secret, **_options(authority, transport))
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
        return EntraCredential(
            lambda: CertificateCredential(
                tenant_id,
                client_id,
                certificate_data=pem,
                password=password or None,
                **_options(authority, transport),
            )
        )
    except ValueError:
        raise ServiceBusError(
            Reason.CREDENTIAL, "The certificate or its private key can't be read. Both are required, as PEM."
        ) from None


def managed_identity_credential(client_id: str = "", *, transport: Any = None) -> EntraCredential:
    from azure.identity.aio import ManagedIdentityCredential

    options = {"transport": transport} if transport is not None else {}
    return EntraCredential(lambda: ManagedIdentityCredential(client_id=client_id or None, **options))


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
        return EntraCredential(
            lambda: WorkloadIdentityCredential(
                tenant_id=tenant_id or None,
                client_id=client_id or None,
                token_file_path=token_file or None,
                **_options(authority, transport),
            )
        )
    except ValueError:
        raise ServiceBusError(
            Reason.CREDENTIAL,
            "Workload identity needs a tenant ID, a client ID and a token file: in the credential, or in the hub's "
            "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE.",
        ) from None


def _options(authority: str, transport: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"disable_instance_discovery": True}
    if authority:
        # Without https://, the host of `host:port` would be taken for a scheme.
        options["authority"] = f"https://{authority}"
    if transport is not None:
        options["transport"] = transport
    return options
