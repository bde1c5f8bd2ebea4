"""A signed-in browser that searches every response for planted secrets."""

import base64
import http.client
import secrets
import string
import zlib
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from .searching import Search

_SESSION = "sessionid"


@dataclass
class Browser:
    address: str
    search: Search
    who: str
    session: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        alphabet = string.ascii_letters + string.digits
        self.cookies["csrftoken"] = "".join(secrets.choice(alphabet) for _ in range(32))
        if self.session:
            self.cookies[_SESSION] = self.session

    def ask(
        self, method: str, url: str, form: dict[str, list[str]] | None = None, **headers: str
    ) -> tuple[int, str]:
        """Send a request, search the whole response, and return its status and body."""
        body = urlencode(form or {}, doseq=True) if method == "POST" else None
        sent = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "X-CSRFToken": self.cookies["csrftoken"],
            **({"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}),
            **headers,
        }
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, url, body, sent)
            answer = connection.getresponse()
            content = answer.read()
            # A wall page's address is its secret, and whoever requests the page already has it.
            where = f"{method} {url.split('?')[0][:60]} as {self.who} ({answer.status})"
            for name, value in answer.getheaders():
                if name.lower() != "set-cookie":
                    self.search.look(f"header {name} of {where}", value)
                    continue
                for morsel in SimpleCookie(value).values():
                    self.cookies[morsel.key] = morsel.value
                    if morsel.key == "hub_messages":
                        self.search.look(f"messages of {where}", _message(morsel.value))
                    if morsel.key != _SESSION:  # a session's key belongs here and nowhere else
                        self.search.look(f"cookie {morsel.key} of {where}", value)
            self.search.look(where, content)
            return answer.status, content.decode(errors="replace")
        finally:
            connection.close()


def _message(cookie: str) -> bytes:
    """Return the content of a signed messages cookie."""
    packed = cookie.split(":")[0]
    raw = base64.urlsafe_b64decode(packed.lstrip(".") + "===")
    return zlib.decompress(raw) if packed.startswith(".") else raw
