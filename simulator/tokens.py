"""JSON Web Tokens (RFC 7519), signed and verified: access tokens and the assertions that clients send."""

import base64
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

_SHA256 = hashes.SHA256()
_PADDINGS: dict[str, padding.AsymmetricPadding] = {
    "RS256": padding.PKCS1v15(),
    "PS256": padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=_SHA256.digest_size),
}


class SigningKey:
    """An RSA key that signs tokens. It is generated on first use, because that takes a tenth of a second."""

    @cached_property
    def private(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def identifier(self) -> str:
        numbers = self.private.public_key().public_numbers()
        return encode(numbers.n.to_bytes(256, "big")[:16])

    def sign(self, claims: dict[str, Any]) -> str:
        head = {"typ": "JWT", "alg": "RS256", "kid": self.identifier}
        signed = f"{encode(json.dumps(head).encode())}.{encode(json.dumps(claims).encode())}"
        signature = self.private.sign(signed.encode(), _PADDINGS["RS256"], _SHA256)
        return f"{signed}.{encode(signature)}"

    def public_jwk(self) -> dict[str, str]:
        """Return the public key as a JSON Web Key (RFC 7517)."""
        numbers = self.private.public_key().public_numbers()
        exponent = numbers.e.to_bytes(3, "big")
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.identifier,
            "n": encode(numbers.n.to_bytes(256, "big")),
            "e": encode(exponent),
        }


@dataclass(frozen=True)
class Token:
    """A parsed token. Don't trust its contents before `is_signed_by` has returned True."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, text: str) -> "Token | None":
        """Return the parsed token, or None if the text is not a token."""
        parts = text.split(".")
        if len(parts) != 3:
            return None
        try:
            header, claims = json.loads(decode(parts[0])), json.loads(decode(parts[1]))
            signature = decode(parts[2])
        except ValueError:
            return None
        if not isinstance(header, dict) or not isinstance(claims, dict):
            return None
        return cls(header, claims, f"{parts[0]}.{parts[1]}".encode(), signature)

    def is_signed_by(self, key: rsa.RSAPublicKey) -> bool:
        used = _PADDINGS.get(str(self.header.get("alg")))
        if used is None:
            return False
        try:
            key.verify(self.signature, self.signed, used, _SHA256)
        except InvalidSignature:
            return False
        return True

    def is_valid_at(self, now: float) -> bool:
        """Return whether the token is valid at `now` (Unix seconds); its start may be 5 minutes in the future."""
        expires, begins = self.claims.get("exp"), self.claims.get("nbf", 0)
        if not isinstance(expires, int | float) or not isinstance(begins, int | float):
            return False
        return begins - 300 <= now < expires


def encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Decode base64url. Some clients, including azure-identity, don't remove the padding. Raises ValueError."""
    bare = text.rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
