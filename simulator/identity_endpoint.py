"""The HTTP side of the simulated Entra ID: token endpoint, OpenID documents, managed identity endpoints."""

import datetime as dt
import json
import time
import uuid
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from .endpoint import Answer
from .identity import EXCHANGE_AUDIENCE, RESOURCE, Application, Identity, Principal, thumbprints
from .tokens import Token

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_IMDS_PATH = "/metadata/identity/oauth2/token"
_APP_SERVICE_PATH = "/msi/token"
_DISCOVERY = "/common/discovery/instance"


class RefusedError(Exception):
    """An error as Entra ID returns it: OAuth's code (RFC 6749, 5.2), Entra ID's own number, and a text."""

    def __init__(self, error: str, number: int, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.error, self.number, self.text, self.status = error, number, text, status


def handles(path: str) -> bool:
    """Return whether a path belongs to one of these endpoints and not to an entity."""
    return path.endswith(
        ("/oauth2/v2.0/token", "/.well-known/openid-configuration", "/discovery/v2.0/keys")
    ) or (path in (_IMDS_PATH, _APP_SERVICE_PATH, _DISCOVERY))


async def respond(identity: Identity, request: web.BaseRequest, path: str) -> Answer:
    """Return the answer to a request to one of the endpoints."""
    try:
        if path == _IMDS_PATH:
            if request.headers.get("Metadata") != "true":
                raise RefusedError("invalid_request", 0, "Required metadata header not specified")
            return _managed_identity(identity, request)
        if path == _APP_SERVICE_PATH:
            if request.headers.get("X-IDENTITY-HEADER") != identity.app_service_header:
                raise RefusedError("unauthorized", 0, "The X-IDENTITY-HEADER is not this app's", status=401)
            return _managed_identity(identity, request)
        if path.endswith("/oauth2/v2.0/token"):
            return await _token(identity, request, path)
    except RefusedError as refused:
        return _error(refused)
    if path == _DISCOVERY:
        tenant_discovery = f"https://{request.host}/{identity.tenant}/v2.0/.well-known/openid-configuration"
        return _json({"tenant_discovery_endpoint": tenant_discovery, "metadata": []})
    if path.endswith("/discovery/v2.0/keys"):
        return _json({"keys": [identity.key.public_jwk()]})
    if path.endswith("/.well-known/openid-configuration"):
        return _json(_configuration(identity, request.host, path.split("/")[1]))
    return _error(RefusedError("not_found", 0, "there is nothing here", status=404))


def out_of_order(status: int, detail: str) -> Answer:
    """Return the answer of an endpoint that is temporarily out of order."""
    return _error(RefusedError("temporarily_unavailable", 90033, detail, status=status))


async def _token(identity: Identity, request: web.BaseRequest, path: str) -> Answer:
    if request.method != "POST":
        raise RefusedError("invalid_request", 900561, "The endpoint only accepts POST requests.", status=405)
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    tenant = path.split("/")[1]
    if tenant != identity.tenant:
        raise RefusedError("invalid_request", 90002, f"Tenant '{tenant}' not found.")
    if form.get("grant_type") != "client_credentials":
        raise RefusedError("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
    application = identity.application_for(form.get("client_id", ""))
    if application is None:
        raise RefusedError("unauthorized_client", 700016, "Application was not found in the directory.")
    scope = form.get("scope", "")
    if not scope.endswith("/.default"):
        raise RefusedError("invalid_scope", 1002012, "The provided value for scope is not valid.")
    audience = scope.removesuffix("/.default")
    if audience.rstrip("/") != RESOURCE:
        raise RefusedError(
            "invalid_resource", 500011, f"The resource principal named {audience} was not found."
        )
    _check_proof(application, form, f"https://{request.host}{path}")
    lifetime = int(identity.token_lifetime)
    return _json(
        {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": identity.issue(application, audience),
        }
    )


def _check_proof(application: Application, form: dict[str, str], endpoint: str) -> None:
    """Check the secret or the assertion. Raises RefusedError."""
    if "client_secret" in form:
        if form["client_secret"] not in application.secrets:
            raise RefusedError("invalid_client", 7000215, "Invalid client secret provided.", status=401)
        return
    if form.get("client_assertion_type") != _ASSERTION_TYPE:
        raise RefusedError(
            "invalid_client", 7000218, "The body must contain client_assertion or client_secret.", status=401
        )
    token = Token.parse(form.get("client_assertion", ""))
    if token is None:
        raise RefusedError("invalid_client", 50027, "JWT token is invalid or malformed.", status=401)
    if "x5t" in token.header or "x5t#S256" in token.header:
        _check_certificate(application, token, endpoint)
    else:
        _check_federation(application, token)
    if not token.is_valid_at(time.time()):
        raise RefusedError(
            "invalid_client", 700024, "Client assertion is not within its valid time range.", status=401
        )


def _check_certificate(application: Application, token: Token, endpoint: str) -> None:
    for certificate in application.certificates:
        named = any(
            str(token.header.get(name, "")).rstrip("=") == value
            for name, value in thumbprints(certificate).items()
        )
        key = certificate.public_key()
        if not named or not isinstance(key, rsa.RSAPublicKey) or not token.is_signed_by(key):
            continue
        if certificate.not_valid_after_utc < dt.datetime.now(dt.UTC):
            break
        own = {"iss": application.client_id, "sub": application.client_id, "aud": endpoint}
        if all(token.claims.get(name) == value for name, value in own.items()):
            return
        raise RefusedError(
            "invalid_client", 700023, "Client assertion audience or issuer is wrong.", status=401
        )
    raise RefusedError(
        "invalid_client", 700027, "The certificate used to sign is not registered.", status=401
    )


def _check_federation(application: Application, token: Token) -> None:
    audiences = token.claims.get("aud")
    audiences = audiences if isinstance(audiences, list) else [audiences]
    for issuer in application.issuers:
        if (
            token.claims.get("iss") == issuer.issuer
            and token.claims.get("sub") == issuer.subject
            and EXCHANGE_AUDIENCE in audiences
            and token.is_signed_by(issuer.key.private.public_key())
        ):
            return
    raise RefusedError("invalid_client", 70021, "No matching federated identity record found.", status=401)


def _managed_identity(identity: Identity, request: web.BaseRequest) -> Answer:
    query = request.query
    resource = query.get("resource", "")
    if resource.rstrip("/") != RESOURCE:
        raise RefusedError(
            "invalid_resource", 500011, f"The resource principal named {resource} was not found."
        )
    principal: Principal | None = identity.managed_identity_for(query.get("client_id"))
    if principal is None:
        raise RefusedError("invalid_request", 0, "Identity not found")
    lifetime = int(identity.token_lifetime)
    now = int(time.time())
    return _json(
        {
            "access_token": identity.issue(principal, resource),
            "client_id": principal.client_id,
            "expires_in": str(lifetime),
            "expires_on": str(now + lifetime),
            "ext_expires_in": str(lifetime),
            "not_before": str(now),
            "resource": resource,
            "token_type": "Bearer",
        }
    )


def _configuration(identity: Identity, host: str, tenant: str) -> dict[str, Any]:
    base = f"https://{host}/{tenant}"
    return {
        "issuer": f"{base}/v2.0",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "jwks_uri": f"{base}/discovery/v2.0/keys",
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
    }


def _error(refused: RefusedError) -> Answer:
    text = f"AADSTS{refused.number}: {refused.text}" if refused.number else refused.text
    body = {
        "error": refused.error,
        "error_description": text,
        "error_codes": [refused.number],
        "timestamp": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ"),
        "trace_id": str(uuid.uuid4()),
        "correlation_id": str(uuid.uuid4()),
    }
    return _json(body, refused.status)


def _json(value: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), "application/json; charset=utf-8")
