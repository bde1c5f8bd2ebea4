"""The address at which people and Prometheus reach the hub, normalized to the form that browsers send."""

import ipaddress
import re
from urllib.parse import urlsplit

# The first segments of the hub's own paths. An external path must not begin with one, because they would be ambiguous.
OWN_SEGMENTS = frozenset({"-", "admin", "metrics", "sd", "static", "wall"})

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
# Browsers keep these characters, but Python's codec replaces or drops them.
_AMBIGUOUS = frozenset("ßς\u200c\u200d")


class UnsupportedAddressError(ValueError):
    """An address can't be used. The message has the reason, but not the address, which may contain a password."""


def external_url(text: str) -> str:
    """Return the normalized address, `scheme://host[:port][/path]`, without a default port or trailing slash.

    Raises UnsupportedAddressError.
    """
    text = text.strip(" ")
    if any(character <= " " or character == "\x7f" for character in text):
        raise UnsupportedAddressError("it contains white space or a control character")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise UnsupportedAddressError("its host or port can't be read") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise UnsupportedAddressError("it doesn't begin with https:// or http://")
    if "@" in parts.netloc:
        raise UnsupportedAddressError("it contains a username or password")
    if "?" in text or "#" in text:
        raise UnsupportedAddressError("it contains a query or fragment")
    if port == 0:
        raise UnsupportedAddressError("its port is 0")
    origin = f"{parts.scheme}://{host(parts.hostname or '')}"
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        origin += f":{port}"
    return origin + _external_path(parts.path)


def host(text: str) -> str:
    """Return a host in URL form: lower case, international names as xn--, IPv6 addresses in brackets.

    Raises UnsupportedAddressError.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare:
        try:
            if "%" not in bare:  # a zone has a meaning on one machine only
                return f"[{ipaddress.IPv6Address(bare)}]"
        except ValueError:
            pass
        raise _unsupported_host()
    if _AMBIGUOUS.intersection(bare):
        raise UnsupportedAddressError("its host has several ASCII forms; write the one that begins with xn--")
    try:
        # The codec loads large tables, and few hosts need them.
        name = bare if bare.isascii() else bare.encode("idna").decode("ascii")
        name = name.lower().removesuffix(".")
    except UnicodeError:
        raise _unsupported_host() from None
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _unsupported_host()
    if labels[-1].isdigit():  # browsers parse such a host as an IPv4 address
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise _unsupported_host() from None
    return name


def allowed_host(text: str) -> str:
    """Return an entry of ALLOWED_HOSTS: a host, `.example.com` for all hosts of a domain, or `*` for every host.

    Raises UnsupportedAddressError.
    """
    if text == "*":
        return text
    return "." + host(text[1:]) if text.startswith(".") else host(text)


def _external_path(path: str) -> str:
    path = path.rstrip("/")
    segments = path.split("/")[1:]
    if not _PATH.fullmatch(path) or {".", ".."}.intersection(segments):
        raise UnsupportedAddressError(
            "its path contains characters other than letters, digits and . _ ~ - between single slashes"
        )
    if segments and segments[0] in OWN_SEGMENTS:
        raise UnsupportedAddressError(
            f"its path begins with /{segments[0]}, which is a path of the hub itself"
        )
    return path


def _unsupported_host() -> UnsupportedAddressError:
    return UnsupportedAddressError(
        "its host is neither a name of letters, digits and hyphens nor an IP address"
    )
