"""Shared access signatures: create them for tests, and verify them as the service does.

`SharedAccessSignature sr=<url-encoded URI>&sig=<...>&se=<expiry>&skn=<key name>`, where the signature is the
base64 of HMAC-SHA256 with the key over "<sr as it was sent>\\n<expiry>".
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote_plus, unquote, unquote_plus

SCHEME = "SharedAccessSignature "


@dataclass(frozen=True, slots=True)
class Signature:
    resource: str  # the URI as it was sent, still encoded: this is what was signed
    signature: str
    expiry: str
    key_name: str
    host: str  # of the resource, in lower case, with the port if there was one
    prefix: str  # the resource's path, in lower case, without leading and trailing slashes

    def is_signed_with(self, key: str) -> bool:
        return hmac.compare_digest(_digest(key, self.resource, self.expiry).encode(), self.signature.encode())

    def is_expired(self, now: float) -> bool:
        return not self.expiry.isdecimal() or int(self.expiry) <= now

    def covers(self, host: str, path: str) -> bool:
        """Return whether the signed URI is the requested one or a parent of it, regardless of scheme and case."""
        if self.host not in (host.lower(), _without_port(host.lower())):
            return False
        wanted = path.lower().strip("/")
        return not self.prefix or wanted == self.prefix or wanted.startswith(self.prefix + "/")


@lru_cache(maxsize=1000)
def parse(header: str) -> Signature | None:
    """Return the parts of the header's value, or None if one of them is missing."""
    fields = dict(part.partition("=")[::2] for part in header.removeprefix(SCHEME).split("&"))
    if not {"sr", "sig", "se", "skn"} <= fields.keys():
        return None
    _, _, location = unquote_plus(fields["sr"]).lower().rpartition("://")
    # The JavaScript SDK signs the request's whole URL, with the query and with encoded slashes in names.
    host, _, path = unquote(location.partition("?")[0]).partition("/")
    signature, key_name = unquote_plus(fields["sig"]), unquote_plus(fields["skn"])
    return Signature(fields["sr"], signature, fields["se"], key_name, host, path.strip("/"))


def sign(uri: str, key_name: str, key: str, expiry: int) -> str:
    """Return the header's value. `expiry` is in Unix seconds."""
    resource = quote_plus(uri.lower())
    signature = quote_plus(_digest(key, resource, str(expiry)))
    return f"{SCHEME}sr={resource}&sig={signature}&se={expiry}&skn={quote_plus(key_name)}"


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


@lru_cache(maxsize=1000)  # a client sends the same header many times
def _digest(key: str, resource: str, expiry: str) -> str:
    digest = hmac.new(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
