"""`python -m tests.support.hostile CERTIFICATES`: endpoints that stand in for Service Bus and attack their readers.

Once the endpoints are serving, prints one line of JSON with the connection string of each attack. Runs until its
standard input is closed. `CERTIFICATES` is the folder of a simulator's CA.
"""

import asyncio
import json
import logging
import os
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from simulator.certificates import CertificateStore

_ATOM = "http://www.w3.org/2005/Atom"
_CONNECT = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
_COUNTS = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
_KEY = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="
_MEBIBYTE = 1024 * 1024
# An attack that the reader does not end stops here, so that a run is bounded.
_MOST_BYTES = 2048 * _MEBIBYTE

# Writes a response to a request for this listing ("queues", "topics", "subscriptions", "namespace") and $skip.
Attack = Callable[[str, int, asyncio.StreamWriter], Awaitable[None]]


def entry(name: str, element: str = "QueueDescription", fields: str = "", active: str = "1") -> str:
    """Return an entry as the service's serializer writes it."""
    counts = "".join(
        f"<d2p1:{kind}MessageCount>{active if kind == 'Active' else 0}</d2p1:{kind}MessageCount>"
        for kind in ("Active", "DeadLetter", "Scheduled", "Transfer", "TransferDeadLetter")
    )
    return (
        f'<entry><title type="text">{name}</title><content type="application/xml">'
        f'<{element} xmlns="{_CONNECT}">{fields}<Status>Active</Status>'
        f'<CountDetails xmlns:d2p1="{_COUNTS}">{counts}</CountDetails></{element}></content></entry>'
    )


def feed(*entries: str, head: str = "") -> bytes:
    """Return a page; `head` goes before its entries."""
    return f'<feed xmlns="{_ATOM}"><title type="text">Page</title>{head}{"".join(entries)}</feed>'.encode()


def next_link(skip: int | str) -> str:
    return f'<link rel="next" href="/$Resources/queues?$skip={skip}&amp;$top=100"/>'


def answered(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/atom+xml\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_PREMIUM = (
    f'<entry xmlns="{_ATOM}"><content><NamespaceInfo xmlns="{_CONNECT}"><MessagingSKU>Premium</MessagingSKU>'
    "</NamespaceInfo></content></entry>"
).encode()


# Pages


def page(make: Callable[[int], bytes], listing: str = "queues", info: bytes = feed()) -> Attack:
    """Return an attack that serves its page in one listing and leaves the others empty.

    `info` is the response to a request for the SKU, which determines the request budget.
    """

    async def attack(asked: str, skip: int, writer: asyncio.StreamWriter) -> None:
        body = make(skip) if asked == listing else info if asked == "namespace" else feed()
        writer.write(answered(body))

    return attack


def _topics_with(count: str, topics: int) -> Attack:
    fields = f"<SubscriptionCount>{count}</SubscriptionCount>"
    whole = feed(*(entry(f"topic-{number:03}", "TopicDescription", fields) for number in range(topics)))
    return page(lambda skip: whole if skip == 0 else feed(), "topics")


def _endless_listing(skip: int, name_length: int = 20) -> bytes:
    names = (f"{skip + number:020}".ljust(name_length, "n") for number in range(100))
    return feed(*map(entry, names), head=next_link(skip + 100))


def _endless_values(skip: int) -> bytes:
    fields = "<UserMetadata>" + "m" * 40_000 + "</UserMetadata>"
    entries = (entry(f"{skip + number:020}", fields=fields) for number in range(100))
    return feed(*entries, head=next_link(skip + 100))


# One such character makes Python store every character of the string in four bytes.
_WIDE = "\N{GRINNING FACE}"


def _wide_names(skip: int, rest: str) -> bytes:
    names = (f"{skip + number:020}{_WIDE}".ljust(512, rest) for number in range(1000))
    return feed(*map(entry, names), head=next_link(skip + 1000))


def _wide_values(skip: int) -> bytes:
    text = _WIDE.ljust(4096, "m")
    fields = f"<ForwardTo>{text}</ForwardTo><UserMetadata>{text}</UserMetadata>"
    entries = (entry(f"{skip + number:020}", fields=fields) for number in range(450))
    return feed(*entries, head=next_link(skip + 450))


def _almost_alike(skip: int) -> bytes:
    """Return entries that differ only in their last field, so that each known layout is tried almost to its end."""
    fields = "".join(f"<F{number}>v</F{number}>" for number in range(200))
    entries = (
        entry(f"{skip + number:020}", fields=f"{fields}<Z{number % 500}>1</Z{number % 500}>")
        for number in range(1000)
    )
    return feed(*entries, head=next_link(skip + 1000))


def _new_layout(skip: int) -> bytes:
    fields = "".join(f"<Field{skip}x{number}>v</Field{skip}x{number}>" for number in range(280))
    entries = (entry(f"{skip + number:020}", fields=fields) for number in range(100))
    return feed(*entries, head=next_link(skip + 100))


def _repeated(text: str) -> str:
    return text * (3 * _MEBIBYTE // len(text))


PAGES: dict[str, Attack] = {
    "subscription count of 10^12": _topics_with("1000000000000", 1),
    "100 topics of 10^9 subscriptions": _topics_with("1000000000", 100),
    "next link to 10^12": page(lambda skip: feed(entry("a"), head=next_link(10**12))),
    "next link to 3 * 10^7": page(lambda skip: feed(entry("a"), head=next_link(30_000_000))),
    "next link of 5,000 digits": page(lambda skip: feed(entry("a"), head=next_link("9" * 5000))),
    "next link to the same page": page(lambda skip: feed(entry("a"), head=next_link(skip))),
    "listing without end": page(_endless_listing),
    "names of 38 kB without end": page(partial(_endless_listing, name_length=38_000)),
    "values of 40 kB without end": page(_endless_values),
    "another layout in each page": page(_new_layout),
    "entries almost alike": page(_almost_alike, info=_PREMIUM),
    "wide names without end": page(partial(_wide_names, rest="n"), info=_PREMIUM),
    "names of 2 kB without end": page(partial(_wide_names, rest=_WIDE), info=_PREMIUM),
    "wide values without end": page(_wide_values, info=_PREMIUM),
    "name of 3 MiB": page(lambda skip: feed(entry(_repeated("n")))),
    "attribute of 40,000 characters": page(
        lambda skip: feed(entry("a"), head=f'<link {"a" * 40_000} rel="self"/>')
    ),
    "attributes, 3 MiB": page(
        lambda skip: feed(head="<link " + " ".join(f'a{n}="{n}"' for n in range(200_000)) + "/>")
    ),
    "elements nested, 3 MiB": page(lambda skip: feed(_repeated("<a>"))),
    "empty elements, 3 MiB": page(lambda skip: feed(_repeated("<a/>"))),
    "references, 3 MiB": page(lambda skip: feed(entry(_repeated("&lt;")))),
    "reference of 5,000 digits": page(lambda skip: feed(entry(f"a&#{'9' * 5000};"))),
    "count of 5,000 digits": page(lambda skip: feed(entry("a", active="9" * 5000))),
    "unpaired surrogate": page(lambda skip: feed(entry("a&#xD800;"))),
    "random bytes as a page": page(lambda skip: os.urandom(65_536)),
}


# HTTP


def again_and_again(head: bytes, piece: bytes) -> Attack:
    """Return an attack that sends the piece until the reader hangs up."""

    async def attack(asked: str, skip: int, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(_MOST_BYTES // len(piece)):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # drain() alone may not let the loop notice that the reader has hung up

    return attack


def once(answer: bytes) -> Attack:
    async def attack(asked: str, skip: int, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return attack


async def _too_short(asked: str, skip: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n<feed")
    await writer.drain()
    writer.close()


async def _silence(asked: str, skip: int, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def _drip(asked: str, skip: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.05)


def _gzip_bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    zeros = bytes(_MEBIBYTE)
    return b"".join([*(packer.compress(zeros) for _ in range(512)), packer.flush()])


HTTP: dict[str, Attack] = {
    "102 Processing without end": again_and_again(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
    "100 Continue without end": again_and_again(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "103 with headers without end": again_and_again(
        b"", b"HTTP/1.1 103 Early Hints\r\nLink: " + b"a" * 4000 + b"\r\n\r\n"
    ),
    "headers without end": again_and_again(b"HTTP/1.1 200 OK\r\n", b"X-Header: value\r\n" * 100),
    "one header without end": again_and_again(b"HTTP/1.1 200 OK\r\nX-Header: ", b"a" * 8000),
    "status line without end": again_and_again(b"HTTP/1.1 200 ", b"a" * 8000),
    "body without end": again_and_again(b"HTTP/1.1 200 OK\r\n\r\n", b"<a>" * 5000),
    "chunks of one byte without end": again_and_again(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n<\r\n" * 1000
    ),
    "trailers without end": again_and_again(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: value\r\n" * 100
    ),
    "chunk extensions without end": again_and_again(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=", b"x" * 8000
    ),
    "second answer without end": again_and_again(answered(feed()), answered(feed()) * 20),
    "random bytes without end": again_and_again(b"", os.urandom(8000)),
    "header byte by byte": _drip,
    "no answer": _silence,
    "gzip of 512 MiB": once(answered(_gzip_bomb(), headers="Content-Encoding: gzip\r\n")),
    "Retry-After as asctime": once(
        answered(b"", "429 Too Many", "Retry-After: Fri Aug 21 12:38:13 2026\r\n")
    ),
    "Retry-After of 5,000 digits": once(answered(b"", "503 Busy", f"Retry-After: {'9' * 5000}\r\n")),
    "redirect to itself": once(answered(b"", "302 Found", "Location: /$Resources/queues\r\n")),
    "Content-Length below zero": once(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n<feed"),
    "two Content-Lengths": once(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n<feed"),
    "body shorter than its Content-Length": _too_short,
    "101 Switching Protocols": once(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n" + b"x" * 100_000),
    "Content-Length of 10^18": once(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n<feed"),
}

ATTACKS = {**PAGES, **HTTP}


# Serving


async def serve(attack: Attack, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection with the attack until the reader hangs up."""
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        while True:
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
            parts = urlsplit(target)
            skip = int(parse_qs(parts.query).get("$skip", ["0"])[0])
            await attack(_listing(parts.path), skip, writer)
            await writer.drain()
    writer.close()


def _listing(path: str) -> str:
    last = path.rpartition("/")[2].lower()
    return {"$namespaceinfo": "namespace", "queues": "queues", "topics": "topics"}.get(last, "subscriptions")


async def main() -> None:
    # asyncio warns about each write to a reader that has hung up.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    context = CertificateStore(Path(sys.argv[1])).context()
    async with AsyncExitStack() as stack:
        said = {}
        for number, (name, attack) in enumerate(ATTACKS.items()):
            server = await asyncio.start_server(partial(serve, attack), "127.0.0.1", 0, ssl=context)
            stack.push_async_callback(partial(_close, server))
            port = server.sockets[0].getsockname()[1]
            # A separate host for each, because budgets are per host.
            host = f"attack-{number:02}.servicebus.localhost:{port}"
            said[name] = f"Endpoint=sb://{host}/;SharedAccessKeyName=hub;SharedAccessKey={_KEY}"
        print(json.dumps(said), flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def _close(server: asyncio.Server) -> None:
    server.close()
    others: Iterator[asyncio.Task[None]] = (
        task for task in asyncio.all_tasks() if task is not asyncio.current_task()
    )
    for task in others:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
