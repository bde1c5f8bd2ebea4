"""Find a secret in the hub's output, in any form that it may have taken."""

import base64
import html
import json
import zlib
from collections.abc import Iterator
from urllib.parse import quote, quote_plus


def forms(secret: str) -> set[bytes]:
    """Return the forms of a secret: as it is, quoted for URLs, HTML or JSON, and in base64 at any alignment."""
    texts = {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
        json.dumps(secret)[1:-1],
    }
    # Azure's own quoting uses lowercase letters.
    texts |= {quote(secret, safe="").replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d")}
    found = {text.encode() for text in texts}
    raw = secret.encode()
    for lead in range(3):
        # The characters whose bits come only from the secret, whatever precedes or follows it.
        first, last = -(-8 * lead // 6), 8 * (lead + len(raw)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"\0" * lead + raw)[first:last])
    found.add(raw.hex().encode())
    return found


def views(data: bytes) -> Iterator[bytes]:
    """Yield the data as it is, and everything in it that was compressed."""
    yield data
    for start in range(min(len(data), 4096)):
        if data[start] in (0x78, 0x1F):
            for bits in (zlib.MAX_WBITS, zlib.MAX_WBITS | 16):
                try:
                    yield zlib.decompressobj(bits).decompress(data[start:])
                except zlib.error:
                    continue


class Search:
    """Searches all output for the planted secrets and collects what it finds."""

    def __init__(self, secrets: dict[str, str]) -> None:
        for name, secret in secrets.items():
            assert len(secret) >= 8, f"{name} would be found by chance"
        self._forms = {name: forms(secret) for name, secret in secrets.items()}
        self.bytes = 0
        self.found: list[str] = []

    def look(self, where: str, data: bytes | str, but: str = "") -> None:
        """Search the data for all secrets except `but`, which belongs there."""
        raw = data.encode() if isinstance(data, str) else data
        self.bytes += len(raw)
        for view in views(raw):
            for name, each in self._forms.items():
                for form in each if name != but else ():
                    at = view.find(form)
                    if at >= 0:
                        around = view[max(0, at - 60) : at].decode(errors="replace")
                        self.found.append(f"{name} in {where} after {around!r}")
                        break
