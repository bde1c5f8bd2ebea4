"""Anything other than a valid response is a bounded failure of its own request."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.servicebus import answers, requests
from exporters.servicebus.answers import BUFFER_BYTES, MAX_INTERIM_ANSWERS
from exporters.servicebus.budget import unshared
from exporters.servicebus.client import Client, ThrottledError
from exporters.servicebus.connection import Endpoint, EndpointPolicy, parse_connection_string
from exporters.servicebus.credentials import SharedKeyCredential
from exporters.servicebus.errors import Reason, ServiceBusError
from exporters.servicebus.parallelism import Parallelism
from exporters.servicebus.request_rate import Allowance
from simulator.certificates import CertificateStore
from tests.support import hostile

from .raw import here, serving

# The possible outcomes of each attack; None: the deadline ends it. A new attack needs an entry here.
OUTCOMES: dict[str, set[Reason | None]] = {
    "102 Processing without end": {Reason.TOO_LARGE},
    "100 Continue without end": {Reason.TOO_LARGE},
    "103 with headers without end": {Reason.TOO_LARGE},
    "headers without end": {Reason.TOO_LARGE, Reason.MALFORMED},
    "one header without end": {Reason.TOO_LARGE, Reason.MALFORMED},
    "status line without end": {Reason.TOO_LARGE, Reason.MALFORMED},
    "body without end": {Reason.TOO_LARGE},
    "chunks of one byte without end": {Reason.TOO_LARGE, None},
    # aiohttp reports it in one of three ways, depending on how much data arrives at a time.
    "trailers without end": {Reason.TOO_LARGE, Reason.MALFORMED, Reason.CONNECTION},
    "random bytes without end": {Reason.MALFORMED},
    "header byte by byte": {None},
    "no answer": {None},
    "Retry-After as asctime": {Reason.THROTTLED},
    "Retry-After of 5,000 digits": {Reason.THROTTLED},
    "redirect to itself": {Reason.MALFORMED},
    "Content-Length of 10^18": {Reason.TOO_LARGE},
    "chunk extensions without end": {Reason.TOO_LARGE, Reason.MALFORMED},
    "Content-Length below zero": {Reason.MALFORMED},
    "two Content-Lengths": {Reason.MALFORMED},
    "body shorter than its Content-Length": {Reason.CONNECTION},
    "101 Switching Protocols": {Reason.MALFORMED, Reason.CONNECTION},
}

# These return a body; the parser has to reject it.
WITH_A_BODY = {"gzip of 512 MiB", "second answer without end"}


@pytest.fixture
async def asking(certificates: Path) -> AsyncIterator[Client]:
    store = CertificateStore(certificates)
    client = Client(EndpointPolicy(allow_loopback=True), str(store.ca_file))
    yield client
    await client.close()
    await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
def attackers(certificates: Path) -> Iterator[dict[str, Endpoint]]:
    """The attacks, each served at its own endpoint by another process."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.hostile", str(certificates)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield {name: parse_connection_string(text).endpoint for name, text in said.items()}
        process.kill()


@pytest.mark.parametrize("name", sorted(hostile.HTTP))
async def test_an_attack_ends_soon_costs_little_and_holds_the_loop_for_no_time(
    name: str, asking: Client, attackers: dict[str, Endpoint]
) -> None:
    late = 0.0

    async def watch() -> None:
        nonlocal late
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            late = max(late, time.thread_time() - began)
            await asyncio.sleep(0.005)

    async def ask() -> bytes | Reason | None:
        try:
            async with asyncio.timeout(4):
                return await asking.get(attackers[name], "/$Resources/queues?$skip=0", "none")
        except ServiceBusError as error:
            return error.reason
        except TimeoutError:
            return None

    memory = psutil.Process().memory_info().rss
    watching = asyncio.create_task(watch())
    outcomes = await asyncio.gather(*(ask() for _ in range(8)))
    watching.cancel()
    if name in WITH_A_BODY:
        assert all(isinstance(each, bytes) for each in outcomes)
    else:
        assert set(outcomes) <= OUTCOMES[name]
    assert psutil.Process().memory_info().rss - memory < 100 * 1024 * 1024
    assert late < 0.5  # CPU seconds between two turns of the loop, for eight such responses


async def test_some_interim_answers_and_a_whole_answer_are_fine(asking: Client, certificates: Path) -> None:
    answer = hostile.answered(hostile.feed())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for interim in (0, MAX_INTERIM_ANSWERS, MAX_INTERIM_ANSWERS):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * interim + answer)
        await reader.readuntil(b"\r\n\r\n")

    async with serving(serve, CertificateStore(certificates).context()) as port:
        for _ in range(3):  # the limit applies to each request separately
            assert await asking.get(here(port), "/a", "none") == hostile.feed()


async def test_answers_that_come_at_the_same_time_are_not_mixed(
    asking: Client, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[int] = []
    updated = answers._Buffered.buffer_updated

    def noted(self: answers._Buffered, nbytes: int) -> None:
        pieces.append(nbytes)
        updated(self, nbytes)

    monkeypatch.setattr(answers._Buffered, "buffer_updated", noted)

    def body(path: bytes) -> bytes:
        return path * (3 * BUFFER_BYTES // len(path))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
        answer = hostile.answered(body(path))
        for start in range(0, len(answer), 50_000):
            writer.write(answer[start : start + 50_000])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    paths = [f"/{number}" for number in range(10, 18)]
    async with serving(serve, CertificateStore(certificates).context()) as port:
        bodies = await asyncio.gather(*(asking.get(here(port), path, "none") for path in paths))
    assert bodies == [body(path.encode()) for path in paths]
    assert sum(pieces) > sum(map(len, bodies))  # all of them went through the shared buffer


@pytest.mark.parametrize("early", [1, 20, 50, None], ids=["a byte", "half of the head", "the head", "all"])
async def test_an_answer_that_nobody_asked_for_is_no_part_of_the_next_one(
    asking: Client, certificates: Path, early: int | None
) -> None:
    stale = hostile.answered(b"another question's")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest = b""
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
            writer.write(rest + hostile.answered(b"of " + path))
            if path == b"/a":
                await asyncio.sleep(0.05)
                writer.write(stale[:early])
                rest = stale[early:] if early else b""

    async with serving(serve, CertificateStore(certificates).context()) as port:
        for path in ("/a", "/b", "/c"):
            assert await asking.get(here(port), path, "none") == f"of {path}".encode()
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("text", ["Fri Aug 21 12:38:13 2020", "Wed, 21 Oct 2020 07:28:00 -0000", "garbage"])
async def test_a_retry_after_in_any_form_is_throttled(
    asking: Client, certificates: Path, status: int, text: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(hostile.answered(b"", f"{status} Slow", f"Retry-After: {text}\r\n"))
        await writer.drain()

    async with serving(serve, CertificateStore(certificates).context()) as port:
        with pytest.raises(ThrottledError) as caught:
            await asking.get(here(port), "/a", "none")
    assert caught.value.retry_after == (None if text == "garbage" else 0)


async def test_the_bodies_of_one_read_have_a_bound_together(
    asking: Client, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MAX_READ_BYTES", 2_500_000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(hostile.answered(b"x" * 1_000_000))
            await writer.drain()

    async with serving(serve, CertificateStore(certificates).context()) as port:
        of_one_read = requests.Requests(
            asking,
            here(port),
            SharedKeyCredential("root", "a2V5"),
            unshared(Allowance(requests_per_second=1000, burst=1000)),
            asyncio.get_running_loop().time() + 20,
            Parallelism(16, is_warm=True),
        )
        assert len(await of_one_read.get("/a")) == len(await of_one_read.get("/a")) == 1_000_000
        with pytest.raises(ServiceBusError, match="2500000 bytes") as caught:
            await of_one_read.get("/a")
    assert caught.value.reason is Reason.TOO_LARGE


# Pieces of HTTP in any order, and bytes that aren't HTTP.
_PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 429 X\r\n",
        b"HTTP/1.1 102 X\r\n\r\n",
        b"HTTP/1.1 101 X\r\n",
        b"HTTP/9.9 999 \r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: " + b"9" * 400 + b"\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Encoding: br\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        b"Retry-After: " + b"8" * 400 + b"\r\n",
        b"Retry-After: \xff\xfe\r\n",
        b"Location: http://[::1\r\n",
        b"Set-Cookie: a=b; expires=\x01\r\n",
        b"\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"<feed/>",
        b"\x00",
    ]
)


async def test_random_bytes_as_answers_never_give_anything_but_a_known_error(
    asking: Client, certificates: Path
) -> None:
    answers: list[bytes] = []

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(_PIECES | st.binary(max_size=30), max_size=12).map(b"".join))
    def collect(answer: bytes) -> None:
        answers.append(answer)

    collect()
    waiting = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(waiting))
        await writer.drain()

    got = failed = 0
    async with serving(serve, CertificateStore(certificates).context()) as port:
        # Half as many, because aiohttp repeats a request whose connection ends without a response.
        for _ in range(len(answers) // 2):
            try:
                async with asyncio.timeout(10):
                    await asking.get(here(port), "/a", "none")
                got += 1
            except ServiceBusError:
                failed += 1
    assert failed > 10


async def test_a_connection_that_ends_when_it_is_used_again_is_replaced_once(
    asking: Client, certificates: Path
) -> None:
    connections, asked = 0, 0

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, asked
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.readuntil(b"\r\n\r\n")  # then the connection is closed without a response
        asked += 1

    context = CertificateStore(certificates).context()
    async with serving(answer_once, context) as port:
        bodies = [await asking.get(here(port), "/", "none") for _ in range(3)]
    assert bodies == [b"ok"] * 3
    assert (connections, asked) == (3, 5)
