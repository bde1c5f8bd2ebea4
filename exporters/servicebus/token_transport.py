"""The transport of azure-identity: only to the clouds' sign-in hosts and to this machine's identity endpoint."""

import asyncio
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport

from .connection import EndpointNotAllowedError, EndpointPolicy

# Azure's instance metadata service. Its address is an IP address, and it serves only managed identities.
_METADATA = "http://169.254.169.254"
# App Service, Azure Arc, Service Fabric and pod identity set these to their identity endpoint. azure-identity reads
# them from the hub's own environment.
_VARIABLES = ("IDENTITY_ENDPOINT", "IMDS_ENDPOINT", "MSI_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST")


class TokenTransport(AioHttpTransport):  # type: ignore[misc] # loaded late by azure-core, so mypy sees no class
    """Sends requests on the client's session, and refuses other hosts before anything is looked up or sent.

    Redirects are not followed: azure-identity has no policy for them, and azure-core's transport follows none.
    """

    def __init__(
        self, policy: EndpointPolicy, session: aiohttp.ClientSession, note_silence: Callable[[str], None]
    ) -> None:
        """`note_silence` is called with a host that didn't respond in time."""
        super().__init__(session=session, session_owner=False)
        self._policy = policy
        self._note_silence = note_silence

    async def send(self, request: Any, **config: Any) -> Any:
        """Return the response. Raises EndpointNotAllowedError for a host that issues no tokens."""
        scheme, host, port = _origin(request.url)
        if (scheme, host, port) not in _identity_endpoints():
            self._policy.check_sign_in(scheme, host, port)
        try:
            return await super().send(request, **config)
        except asyncio.CancelledError:
            self._note_silence(host)
            raise


def _identity_endpoints() -> set[tuple[str, str, int | None]]:
    named = (os.environ.get(name, "") for name in _VARIABLES)
    return {_origin(url) for url in (_METADATA, *named) if url}


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    try:
        return parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise EndpointNotAllowedError("The sign-in host is invalid.") from None
