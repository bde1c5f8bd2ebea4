"""Send wrong, late or endless responses, or none at all, as the configured faults require."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NoReturn

from aiohttp import web

from .endpoint import Answer
from .faults import Fault

SERVER = "Microsoft-HTTPAPI/2.0"
_REASONS = {
    401: "claim is empty.",
    403: "Manage,EntityRead claims required for this operation.",
    404: "No service is hosted at the specified address.",
    429: "SubCode=50004. The request was terminated because the namespace is being throttled.",
    500: "The server was unable to process the request; please retry the operation.",
    503: "Service is warming up. Please try after some time.",
}
_HTML = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Welcome</h1>"
    b"<p>This page is not what was asked for.</p></body></html>"
)
_FEED_START = b'<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Queues</title>'
# Nine levels of ten references each: 10^9 times three letters.
_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a0 "lol">'
    + "".join(f'<!ENTITY a{level} "{f"&a{level - 1};" * 10}">' for level in range(1, 10))
    + ']><feed xmlns="http://www.w3.org/2005/Atom"><title type="text">&a9;</title></feed>'
).encode()
_DAY = 86_400


def to_response(answer: Answer) -> web.Response:
    return web.Response(
        body=answer.body,
        status=answer.status,
        headers={"Content-Type": answer.content_type, "Server": SERVER, **answer.headers},
    )


async def instead(
    fault: Fault, request: web.BaseRequest, worded: Callable[[int, str], Answer]
) -> web.StreamResponse:
    """Carry out a fault instead of answering. `worded` makes an error answer from a status and a text."""
    options = fault.options
    if fault.kind in ("reset", "disconnect"):
        _end_connection(request, reset=fault.kind == "reset")
    if fault.kind == "hang":
        await asyncio.sleep(_DAY)
    if fault.kind == "html":
        return _html(int(options["status"]))
    if fault.kind == "empty":
        return to_response(Answer(200, b""))
    if fault.kind == "bomb":
        return to_response(Answer(200, _BOMB))
    if fault.kind == "gzip_bomb":
        return to_response(Answer(200, _gzip_bomb(), headers={"Content-Encoding": "gzip"}))
    if fault.kind == "endless":
        return await _endless(request)
    if fault.kind == "redirect":
        location = options["location"] or f"https://elsewhere.example{request.raw_path}"
        return to_response(Answer(int(options["status"]), b"", headers={"Location": location}))
    return to_response(_status(fault, worded))


async def deliver(answer: Answer, faults: Sequence[Fault], request: web.BaseRequest) -> web.StreamResponse:
    """Send the correct answer, with the faults applied to its delivery."""
    by_kind = {fault.kind: fault for fault in faults}
    if "delay" in by_kind:
        await asyncio.sleep(float(by_kind["delay"].options["seconds"]))
    if "truncated" in by_kind:
        length = int(len(answer.body) * by_kind["truncated"].options["at"])
        answer = Answer(answer.status, answer.body[:length], answer.content_type, answer.headers)
    if "cut" in by_kind:
        await _start(request, answer, int(len(answer.body) * by_kind["cut"].options["at"]))
        _end_connection(request, reset=False)
    if "trickle" in by_kind:
        options = by_kind["trickle"].options
        response = await _start(request, answer, 0)
        for position in range(0, len(answer.body), int(options["chunk"])):
            await response.write(answer.body[position : position + int(options["chunk"])])
            await asyncio.sleep(float(options["interval"]))
        await response.write_eof()
        return response
    return to_response(answer)


@lru_cache(maxsize=1)
def _gzip_bomb() -> bytes:
    compressor = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    pieces = [compressor.compress(b" " * 2**20) for _ in range(64)]
    return b"".join([*pieces, compressor.flush()])


def _status(fault: Fault, worded: Callable[[int, str], Answer]) -> Answer:
    options = fault.options
    status = int(options["status"])
    headers = {} if options["retry_after"] is None else {"Retry-After": str(options["retry_after"])}
    if options["body"] == "empty":
        return Answer(status, b"", headers=headers)
    if options["body"] == "html":
        return Answer(status, _HTML, "text/html; charset=utf-8", headers)
    detail = options["detail"] or _REASONS.get(status, "Something went wrong.")
    answer = worded(status, detail)
    return Answer(answer.status, answer.body, answer.content_type, headers)


def _html(status: int) -> web.Response:
    return to_response(Answer(status, _HTML, "text/html; charset=utf-8"))


async def _start(request: web.BaseRequest, answer: Answer, length: int) -> web.StreamResponse:
    """Send the head, with the whole body's Content-Length, and `length` bytes of the body."""
    response = web.StreamResponse(
        status=answer.status, headers={"Content-Type": answer.content_type, "Server": SERVER}
    )
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[:length])
    return response


async def _endless(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/atom+xml", "Server": SERVER})
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(_FEED_START)
    padding = b"<!-- and on it goes -->\n" * 2048
    while True:
        await response.write(padding)
        await asyncio.sleep(0)  # a fast reader must not block the loop for other clients


def _end_connection(request: web.BaseRequest, *, reset: bool) -> NoReturn:
    transport = request.transport
    if transport is not None:
        if reset:
            # Closing with a linger time of 0 sends RST instead of FIN (socket(7)).
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            transport.abort()
        else:
            transport.close()
    raise asyncio.CancelledError
