"""Send requests to the simulator using only the standard library, so that tests see what is really on the wire."""

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.etree import ElementTree

from simulator import SimulatedNamespace

ATOM = "{http://www.w3.org/2005/Atom}"
CONNECT = "{http://schemas.microsoft.com/netservices/2010/10/servicebus/connect}"
COUNTS = "{http://schemas.microsoft.com/netservices/2011/06/servicebus}"


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def root(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.body)

    @property
    def titles(self) -> list[str]:
        return [entry.findtext(f"{ATOM}title") or "" for entry in self.root.iter(f"{ATOM}entry")]

    def value(self, element: str) -> str | None:
        """Return the text of the first element with this name, whatever its XML namespace."""
        return next(
            (found.text for found in self.root.iter() if found.tag.rpartition("}")[2] == element), None
        )

    @property
    def next_link(self) -> str | None:
        links = [link for link in self.root.findall(f"{ATOM}link") if link.get("rel") == "next"]
        return links[0].get("href") if links else None


class _Connection(http.client.HTTPSConnection):
    """Connects to loopback, whatever the host name; the TLS handshake still uses the name."""

    def connect(self) -> None:
        raw = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        try:
            self.sock = self._context.wrap_socket(raw, server_hostname=self.host)  # type: ignore[attr-defined]
        except BaseException:
            raw.close()
            raise


@contextlib.contextmanager
def connection(
    namespace: SimulatedNamespace, *, host: str | None = None, timeout: float = 20
) -> Iterator[http.client.HTTPSConnection]:
    name, _, port = (host or namespace.host).partition(":")
    context = ssl.create_default_context(cafile=str(namespace.ca_file))
    opened = _Connection(name, int(port), context=context, timeout=timeout)
    try:
        yield opened
    finally:
        opened.close()


def get(
    namespace: SimulatedNamespace,
    path: str,
    *,
    authorization: str | None = "",
    host: str | None = None,
    timeout: float = 20,
    method: str = "GET",
) -> Reply:
    """Send one request. `authorization`: by default, a signature by the namespace's own key; None sends none."""
    if authorization == "":
        authorization = namespace.shared_access_signature(host=host)
    with connection(namespace, host=host, timeout=timeout) as opened:
        opened.request(method, path, headers={"Authorization": authorization} if authorization else {})
        response = opened.getresponse()
        return Reply(response.status, dict(response.headers), response.read())


def listing(namespace: SimulatedNamespace, path: str) -> list[str]:
    """Return the titles of all pages."""
    titles, skip = [], 0
    while True:
        page = get(namespace, f"{path}?api-version=2021-05&$skip={skip}&$top=100")
        titles += page.titles
        if page.next_link is None:
            return titles
        skip += 100


def plain(method: str, url: str, body: Any = None) -> tuple[int, Any]:
    """Send JSON over plain HTTP; return the status and the JSON of the response."""
    host, _, path = url.removeprefix("http://").partition("/")
    opened = http.client.HTTPConnection(host, timeout=20)
    try:
        opened.request(method, f"/{path}", body=None if body is None else json.dumps(body))
        response = opened.getresponse()
        return response.status, json.loads(response.read())
    finally:
        opened.close()
