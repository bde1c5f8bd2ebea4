"""Shared access signatures: made for tests, and verified as the service verifies them.

`SharedAccessSignature sr=<url-encoded URI>&sig=<...>&se=<expiry>&skn=<key name>`, where the signature is the
base64 of HMAC-SHA256 with the key over "<sr as it was sent>\\n<expiry>".
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import quote_plus, unquote_plus

SCHEME = "SharedAccessSignature "


@dataclass(frozen=True)
class Signature:
    resource: str  # the URI as it was sent, still encoded: this is what was signed
    signature: str
    expiry: str
    key_name: str

    @classmethod
    def parse(cls, header: str) -> "Signature | None":
        """Return the parts of the header, or None when one of them is missing."""
        fields = dict(part.partition("=")[::2] for part in header.removeprefix(SCHEME).split("&"))
        if not {"sr", "sig", "se", "skn"} <= fields.keys():
            return None
        return cls(fields["sr"], unquote_plus(fields["sig"]), fields["se"], unquote_plus(fields["skn"]))

    def is_signed_with(self, key: str) -> bool:
        return hmac.compare_digest(_digest(key, self.resource, self.expiry).encode(), self.signature.encode())

    def is_expired(self, now: float) -> bool:
        return not self.expiry.isdigit() or int(self.expiry) <= now

    def covers(self, host: str, path: str) -> bool:
        """Tell whether the signed URI is the requested one or above it. Schemes don't matter, nor does the case."""
        signed = unquote_plus(self.resource).lower()
        _, _, rest = signed.rpartition("://")
        signed_host, _, signed_path = rest.partition("/")
        if signed_host not in (host.lower(), _without_port(host.lower())):
            return False
        prefix = signed_path.strip("/")
        wanted = path.lower().strip("/")
        return not prefix or wanted == prefix or wanted.startswith(prefix + "/")


def sign(uri: str, key_name: str, key: str, expiry: int) -> str:
    """Make the header's value. `expiry`: Unix seconds."""
    resource = quote_plus(uri.lower())
    signature = quote_plus(_digest(key, resource, str(expiry)))
    return f"{SCHEME}sr={resource}&sig={signature}&se={expiry}&skn={quote_plus(key_name)}"


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _digest(key: str, resource: str, expiry: str) -> str:
    digest = hmac.new(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
