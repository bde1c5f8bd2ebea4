"""Authentication by scrape token: as Bearer, or as the password of Basic authentication."""

import base64
import binascii
import math

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from ..configuration.targets import Configuration, Grant
from ..models import ScrapeToken
from ..scraping import last_uses, scrape_records
from ..telemetry import internal_errors, metrics
from .rate_limit import client_address, guessing, network

# With HUB_SCRAPE_AUTH=none, every request has the access of a platform token.
EVERYBODY = Grant(
    token_id=0,
    name="",
    token_hash="",
    scope=str(ScrapeToken.Scope.ALL_TEAMS),
    team=None,
    namespaces=frozenset(),
    expires_at=None,
)


def presented_token(request: HttpRequest, *, bare: bool = False) -> str | None:
    """Return the request's token, or None if it has none. With `bare`, also accept a token without a scheme."""
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
    return scheme if bare and scheme and not value else None


def grant_for(request: HttpRequest, configuration: Configuration, *, bare: bool = False) -> Grant | None:
    """Return the request's grant, or None if it lacks a valid token; raise TooManyGuessesError."""
    token = presented_token(request, bare=bare)
    address = client_address(request) if token else ""
    grant = _look_up(address, token, configuration) if token else None
    if grant is not None:
        with internal_errors.aside("records"):
            if last_uses.tokens.note(grant.token_id, address or None):
                scrape_records.recorder.start()
            metrics.TOKEN_LAST_USED.labels(grant.name, grant.team or "").set_to_current_time()
    return EVERYBODY if settings.HUB_SCRAPE_AUTH == "none" else grant


def _look_up(address: str, token: str, configuration: Configuration) -> Grant | None:
    counted, token_hash = network(address), ScrapeToken.hash(token)
    wait = guessing.seconds_to_wait(counted, token_hash)
    if wait > 0:
        raise TooManyGuessesError(wait)
    grant = configuration.grant(token)
    if grant is None:
        guessing.was_wrong(counted)
    else:
        guessing.was_right(token_hash)
    return grant


class TooManyGuessesError(Exception):
    """Too many wrong tokens came from the client's address. hub.middleware.MachineEndpoints answers 429."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def too_many_guesses(error: TooManyGuessesError) -> HttpResponse:
    return HttpResponse(
        "Too many invalid tokens from this address. Try again later with a valid one.\n",
        status=429,
        content_type="text/plain; charset=utf-8",
        headers={"Retry-After": str(math.ceil(error.seconds))},
    )


def unauthorized() -> HttpResponse:
    return HttpResponse(
        "A valid scrape token is required: send Authorization: Bearer <token>, or the token as the Basic password.\n",
        status=401,
        content_type="text/plain; charset=utf-8",
        headers={"WWW-Authenticate": 'Bearer realm="Service Bus exporter hub"'},
    )
