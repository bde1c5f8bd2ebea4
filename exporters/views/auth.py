"""Scrape tokens on requests: as Bearer, or as the password of Basic authentication."""

import base64
import binascii

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from ..catalog import Configuration, Grant

# With HUB_SCRAPE_AUTH=none everybody is treated as a token of the platform.
_EVERYBODY = Grant(token_id=0, token_hash="", team=None, namespaces=frozenset(), expires_at=None)


def presented_token(request: HttpRequest) -> str | None:
    """Return the token that a request shows, None when it shows none."""
    scheme, _, value = request.headers.get("Authorization", "").strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value or None
    if scheme.lower() == "basic":
        try:
            _, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return password or None
    return None


def grant_for(request: HttpRequest, configuration: Configuration) -> Grant | None:
    """Return what the request may see, None when it needs to show a valid token first."""
    if settings.HUB_SCRAPE_AUTH == "none":
        return _EVERYBODY
    token = presented_token(request)
    return configuration.grant(token) if token else None


def unauthorized() -> HttpResponse:
    response = HttpResponse(
        "A valid scrape token is needed: Authorization: Bearer <token>, or the token as Basic password.\n",
        status=401,
        content_type="text/plain; charset=utf-8",
    )
    response["WWW-Authenticate"] = 'Bearer realm="Service Bus exporter hub"'
    return response
