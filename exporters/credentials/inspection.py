"""Inspect a secret: whether it suits its kind of credential, and which facts about it may be shown."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.exceptions import ValidationError

from ..servicebus.connection import ConnectionString, ConnectionStringError, parse_connection_string
from ..servicebus.credentials import signature_expiry
from .endpoints import check_endpoint

# The code of errors that are about the password, not about the certificate.
PASSWORD = "password"  # noqa: S105

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """Facts about a secret that may be shown to anyone who may see its credential."""

    summary: str = ""  # for example: key RootManageSharedAccessKey, ends 4f2a
    expires_at: datetime | None = None
    connection: ConnectionString | None = None  # of a connection string; its repr hides the secret


def examine_connection_string(secret: str) -> SecretFacts:
    """Return a connection string's facts; raise ValidationError with what is wrong and how to fix it."""
    try:
        connection = parse_connection_string(secret)
    except ConnectionStringError as error:
        raise ValidationError(str(error)) from None
    check_endpoint(connection.endpoint)
    if connection.signature:
        expires = signature_expiry(connection.signature)
        expires_at = None if expires is None else _moment(expires)
        key_name = connection.key_name or _signature_part(connection.signature, "skn")
        return SecretFacts(
            ", ".join(filter(None, ["shared access signature", key_name and f"key {key_name}"])),
            expires_at,
            connection,
        )
    summary = f"key {connection.key_name}" + _ending(connection.key or "")
    return SecretFacts(summary, None, connection)


def examine_client_secret(secret: str) -> SecretFacts:
    if _GUID.match(secret):
        raise ValidationError(
            "This is the ID of a client secret, not the secret itself. Azure shows the secret in the Value column, "
            "once, when it is created."
        )
    return SecretFacts("client secret" + _ending(secret))


def examine_certificate(pem: str, password: str) -> SecretFacts:
    """Return a certificate's facts; raise ValidationError if Entra ID can't use it.

    Entra ID needs an RSA key and its certificate. An expired certificate is not an error: a file of many credentials is
    applied as a whole, and one of them must not block the others.
    """
    data = pem.encode()
    if b"-----BEGIN" not in data:
        raise ValidationError(
            "This is not PEM. Paste the certificate and its private key as text, starting with -----BEGIN. To "
            "convert a PFX file, use `openssl pkcs12 -in file.pfx -out file.pem`."
        )
    try:
        certificate = x509.load_pem_x509_certificate(data)
    except ValueError:
        raise ValidationError(
            "It contains no readable certificate (-----BEGIN CERTIFICATE-----). Paste the whole file."
        ) from None
    key = _private_key(data, password)
    if not isinstance(key, RSAPrivateKey):
        raise ValidationError("The private key is not RSA. Entra ID accepts only RSA keys.")
    if key.public_key() != certificate.public_key():
        raise ValidationError(
            "The private key doesn't match the certificate. The key's certificate must come first in the file."
        )
    thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - Azure's name
    return SecretFacts(f"certificate with thumbprint {thumbprint}", certificate.not_valid_after_utc)


def _private_key(data: bytes, password: str) -> object:
    if b"PRIVATE KEY-----" not in data:
        raise ValidationError(
            "The private key is missing (-----BEGIN PRIVATE KEY-----). Paste it with the certificate."
        )
    encrypted = b"ENCRYPTED" in data
    if password and not encrypted:
        raise ValidationError("The private key is not encrypted: leave the password empty.", PASSWORD)
    try:
        return load_pem_private_key(data, password.encode() if password else None)
    except TypeError:
        raise ValidationError("The private key is encrypted: enter its password too.", PASSWORD) from None
    except ValueError:
        if encrypted:
            raise ValidationError("The password doesn't decrypt the private key.", PASSWORD) from None
        raise ValidationError("The private key can't be read. Paste the whole file.") from None


def _ending(secret: str) -> str:
    """Return the secret's last four characters, by which people recognize it; nothing for a short secret."""
    visible = secret.rstrip("=")  # every key ends with the same padding
    return f", ends {visible[-4:]}" if len(visible) >= 24 else ""


def _signature_part(signature: str, name: str) -> str:
    query = signature.removeprefix("SharedAccessSignature").strip()
    return parse_qs(query).get(name, [""])[0]


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
