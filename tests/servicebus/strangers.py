"""A management endpoint other than the simulator: another author's server, with different but equally valid habits."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

_CONNECT = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
_COUNTS = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
_NOTHING_HERE = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Publicly Listed Services</title></feed>'
)


@dataclass
class Stranger:
    """The endpoint's content and behavior. The active count of a queue or subscription is its index."""

    queues: Sequence[str] = ()
    topics: dict[str, Sequence[str]] = field(default_factory=dict)
    page_size: int = 100
    next_link: str = "/{path}?%24skip={skip}&amp;%24top={top}"  # "" for none, even if more pages follow
    version: str = "HTTP/1.1"
    close: bool = False  # closes the connection after each response
    chunked: bool = False
    prefixed: bool = False  # uses a prefix for every XML namespace
    declaration: bool = True  # sends an XML declaration, with a byte order mark before it
    counts: bool = True
    namespace_info: str = "404"  # or "nothing here", or "401"
    # $skip of a page and the correct next $skip -> the one that the page announces
    announced: Callable[[int, int | None], int | None] | None = None
    subscription_count: int | None = None  # replaces every topic's correct one
    before_page: Callable[[], None] | None = None  # called before each page of a listing is built
    port: int = 0
    connections: int = 0
    asked: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self, context: ssl.SSLContext) -> AsyncIterator["Stranger"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                target = head.split(" ", 2)[1]
                self.asked.append(target)
                status, text = self._answer(target)
                writer.write(self._framed(status, text))
                await writer.drain()
                if self.close or self.version == "HTTP/1.0":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _framed(self, status: int, text: str) -> bytes:
        body = (
            ("\ufeff<?xml version='1.0' encoding='utf-8'?>\n" if self.declaration else "") + text
        ).encode()
        lines = [f"{self.version} {status} Whatever", "Content-Type: application/atom+xml;type=feed"]
        if self.close:
            lines.append("Connection: close")
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            middle = len(body) // 2
            parts = [part for part in (body[:middle], body[middle:]) if part]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        elif self.version == "HTTP/1.1" and not self.close:
            lines.append(f"content-length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _answer(self, target: str) -> tuple[int, str]:
        parts = urlsplit(target)
        path = unquote(parts.path).strip("/")
        query = dict(parse_qsl(parts.query))
        skip, top = int(query.get("$skip", 0)), min(int(query.get("$top", 100)), self.page_size)
        lowered = path.lower()
        if lowered == "$namespaceinfo":
            if self.namespace_info == "nothing here":
                return 200, _NOTHING_HERE
            return int(self.namespace_info), "<Error><Detail>No.</Detail></Error>"
        if lowered == "$resources/queues":
            return 200, self._feed(path, "Queue", self.queues, skip, top)
        if lowered == "$resources/topics":
            return 200, self._feed(path, "Topic", tuple(self.topics), skip, top)
        topic = path.removesuffix("/subscriptions")
        if topic in self.topics:
            return 200, self._feed(path, "Subscription", self.topics[topic], skip, top)
        return 200, _NOTHING_HERE

    def _feed(self, path: str, kind: str, names: Sequence[str], skip: int, top: int) -> str:
        if self.before_page is not None:
            self.before_page()
        a, s, c = ("a:", "s:", "c:") if self.prefixed else ("", "", "d:")
        entries = []
        for index, name in list(enumerate(names))[skip : skip + top]:
            values = "<{s}MaxSizeInMegabytes>1024</{s}MaxSizeInMegabytes><{s}Status>Active</{s}Status>"
            if self.counts:
                tags = ("Active", "DeadLetter", "Scheduled", "TransferDeadLetter", "Transfer")
                numbers = "".join(
                    f"<{c}{tag}MessageCount>{index if tag == 'Active' else 0}</{c}{tag}MessageCount>"
                    for tag in tags
                )
                declared = "" if self.prefixed else f' xmlns:d="{_COUNTS}"'
                values += f"<{{s}}CountDetails{declared}>{numbers}</{{s}}CountDetails>"
            if kind == "Topic":
                count = len(self.topics[name]) if self.subscription_count is None else self.subscription_count
                values += f"<{{s}}SubscriptionCount>{count}</{{s}}SubscriptionCount>"
            own = "" if self.prefixed else f' xmlns="{_CONNECT}"'
            entries.append(
                f'<{a}entry><{a}title type="text">{escape(name)}</{a}title><{a}content type="application/xml">'
                f"<{s}{kind}Description{own}>{values.format(s=s)}</{s}{kind}Description></{a}content></{a}entry>"
            )
        link = ""
        following = skip + top if skip + top < len(names) else None
        if self.announced is not None:
            following = self.announced(skip, following)
        if self.next_link and following is not None:
            link = f'<{a}link href="{self.next_link.format(path=path, skip=following, top=top)}" rel="next"/>'
        own = (
            f'xmlns:a="http://www.w3.org/2005/Atom" xmlns:s="{_CONNECT}" xmlns:c="{_COUNTS}"'
            if self.prefixed
            else 'xmlns="http://www.w3.org/2005/Atom"'
        )
        return f"<{a}feed {own}><{a}title>{kind}s</{a}title>{link}{''.join(entries)}</{a}feed>"
