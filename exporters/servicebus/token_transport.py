"""The way of azure-identity's requests: to the clouds' sign-in hosts and this machine's identity endpoint alone."""

import asyncio
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport

from .connection import EndpointNotAllowedError, EndpointPolicy

# Azure's instance metadata service. It is asked by number, and for managed identities alone.
_METADATA = "http://169.254.169.254"
# Where App Service, Azure Arc, Service Fabric and pod identity say that theirs is: set by the platform, and read by
# azure-identity from the hub's own environment.
_VARIABLES = ("IDENTITY_ENDPOINT", "IMDS_ENDPOINT", "MSI_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST")


class TokenTransport(AioHttpTransport):  # type: ignore[misc] # loaded late by azure-core, so mypy sees no class
    """Sends on the client's session, and refuses every other host before anything is looked up or sent.

    Redirects are not followed: azure-identity has no policy for them, and azure-core's transport follows none.
    """

    def __init__(
        self, policy: EndpointPolicy, session: aiohttp.ClientSession, note_silence: Callable[[str], None]
    ) -> None:
        """`note_silence` is told a host that gave no answer in time."""
        super().__init__(session=session, session_owner=False)
        self._policy = policy
        self._note_silence = note_silence

    async def send(self, request: Any, **config: Any) -> Any:
        """Return the answer. Raises EndpointNotAllowedError for a host that gives no tokens."""
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
        raise EndpointNotAllowedError("The sign-in host is not one.") from None
