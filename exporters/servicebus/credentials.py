"""Turn credentials into the Authorization header of management requests.

Shared access signatures are made here: HMAC-SHA256 over the quoted resource URI and the expiry, as Microsoft's page
"Service Bus access control with Shared Access Signatures" describes. One signature covers a whole namespace, so it
serves every request of every scrape until it is about to expire. Credentials of Entra ID are in entra.py.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qs, quote

from .connection import Endpoint
from .errors import Reason, ServiceBusError
from .events import DISCARDED, Events, SpareUsed

# A signature or a token is renewed this long before it expires: longer than any scrape takes, with time for retries.
RENEW_BEFORE_SECONDS = 300
_SIGNATURE_SECONDS = 3600
# Endpoints for which one key's signatures are kept. A key has one endpoint unless a host is changed.
_KEPT_SIGNATURES = 64


class Credential(Protocol):
    """A credential that is used on the I/O loop and shared by all scrapes of a process."""

    async def authorization(self, endpoint: Endpoint) -> str:
        """Return the header's value. Raises ServiceBusError (credential, ...) without any secret in its message."""
        ...

    async def after_refusal(self, endpoint: Endpoint, refused: str) -> str | None:
        """Return the value to send after a 401 instead of the refused one; None if there is no other."""
        ...

    async def close(self) -> None: ...


class SharedKeyCredential:
    """Signs with a shared access key.

    With an entity path, it signs for that entity alone, because an entity's own key has no other rights.
    """

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
        if expires_at - now < RENEW_BEFORE_SECONDS:
            expires_at = now + _SIGNATURE_SECONDS
            resource = f"{endpoint.base_url}/{quote(self._entity_path)}"
            header = sign(resource, self._key_name, self._key, int(expires_at))
            if len(self._signed) >= _KEPT_SIGNATURES:
                self._signed.clear()
            self._signed[endpoint] = (header, expires_at)
        return header

    async def after_refusal(self, endpoint: Endpoint, refused: str) -> None:
        """Return None: a new signature with the same key would be refused as well."""

    async def close(self) -> None:
        self._signed.clear()


def sign(resource: str, key_name: str, key: bytes, expires_at: int) -> str:
    """Return `SharedAccessSignature sr=...&sig=...&se=...&skn=...` for a resource URI; `expires_at` in Unix seconds."""
    quoted = quote(resource, safe="")
    digest = hmac.new(key, f"{quoted}\n{expires_at}".encode(), hashlib.sha256).digest()
    signature = quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={quoted}&sig={signature}&se={expires_at}&skn={quote(key_name, safe='')}"


class SharedAccessSignatureCredential:
    """Sends a ready-made signature unchanged."""

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        self._token = token
        self._clock = clock
        self.expires_at = signature_expiry(token)

    async def authorization(self, endpoint: Endpoint) -> str:
        if self.expires_at is not None and self.expires_at <= self._clock():
            raise ServiceBusError(
                Reason.CREDENTIAL,
                f"The SharedAccessSignature expired at {_utc(self.expires_at)}. Enter a new one in the credential.",
            )
        return self._token

    async def after_refusal(self, endpoint: Endpoint, refused: str) -> None:
        """Return None: there is no other signature."""

    async def close(self) -> None:
        """Nothing to close."""


_UNNAMED = SpareUsed(0, "", "")


class CredentialPair:
    """The active credential, and a spare for when it is refused. Azure has two keys so that one can be regenerated.

    While the active credential is refused, the spare comes first. The active one is tried again once a minute, at the
    cost of one refused request.
    """

    _AGAIN_SECONDS = 60.0

    def __init__(
        self,
        active: Credential,
        spare: Credential,
        use: SpareUsed = _UNNAMED,
        events: Events = DISCARDED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`use` is added to `events` whenever the spare credential is used."""
        self._active = active
        self._spare = spare
        self._use, self._events = use, events
        self._clock = clock
        self._spare_until = -1.0

    async def authorization(self, endpoint: Endpoint) -> str:
        if self._clock() >= self._spare_until:
            try:
                return await self._active.authorization(endpoint)
            except ServiceBusError as error:
                # For example an expired signature, or a client secret that Entra ID refuses.
                if error.reason is not Reason.CREDENTIAL:
                    raise
                self._spare_until = self._clock() + self._AGAIN_SECONDS
                try:
                    return await self._show_spare(endpoint)
                except ServiceBusError:
                    raise error from None  # the active one is the one to fix
        return await self._show_spare(endpoint)

    async def after_refusal(self, endpoint: Endpoint, refused: str) -> str | None:
        """Return the value to send after a 401: the refused credential's new token, the other one's value, or None."""
        try:
            spare_was_refused = refused == await self._spare.authorization(endpoint)
        except ServiceBusError:
            return await self._active.after_refusal(endpoint, refused)
        renewed = await (self._spare if spare_was_refused else self._active).after_refusal(endpoint, refused)
        if renewed is not None:
            return renewed
        try:
            if spare_was_refused:
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
        self._events.append(self._use)
        return header

    async def close(self) -> None:
        """Leave both open: their owner closes them."""


def signature_expiry(token: str) -> float | None:
    """Return a SharedAccessSignature's `se` in Unix seconds; None if it is missing or can't be read."""
    text = parse_qs(token.partition(" ")[2]).get("se", [""])[0]
    return float(text) if text.isdecimal() else None


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
