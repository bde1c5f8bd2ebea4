"""The steps from a request to its response: faults, credits, rights, content."""

import asyncio
import time

from aiohttp import web

from . import endpoint, identity_endpoint
from .endpoint import Answer, Route
from .faults import AFTERWARDS, INSTEAD
from .identity import Identity
from .log import Request, RequestLog
from .misbehave import deliver, instead, to_response
from .namespace import SimulatedNamespace

_IN_CONTENT = frozenset({"no_counts", "shifted", "next_link", "delete_topic", "recreated"})


async def serve_namespace(namespace: SimulatedNamespace, request: web.BaseRequest) -> web.StreamResponse:
    """Answer a request to a namespace's management endpoint."""
    target = endpoint.route(request.raw_path)
    with _Logged(namespace.requests, request, target) as logged:
        logged.response = await _answer(namespace, request, target, logged)
        return logged.response


async def serve_identity(identity: Identity, request: web.BaseRequest) -> web.StreamResponse:
    """Answer a request to the token endpoint or another identity endpoint."""
    target = endpoint.route(request.raw_path)
    with _Logged(identity.requests, request, target) as logged:
        if identity.latency:
            await asyncio.sleep(identity.latency)
        if fault := identity.faults.take_one(INSTEAD, target.path):
            logged.response = await instead(fault, request, identity_endpoint.out_of_order)
            return logged.response
        spoiled = identity.faults.take(AFTERWARDS, target.path)
        answer = await identity_endpoint.respond(identity, request, target.path)
        logged.response = await deliver(answer, spoiled, request)
        return logged.response


def no_such_namespace(request: web.BaseRequest) -> web.StreamResponse:
    """Answer a request to a host name that belongs to no namespace."""
    text = "No service is hosted at the specified address."
    return to_response(endpoint.failure(404, text, request.host, endpoint.route("/")))


async def _answer(
    namespace: SimulatedNamespace, request: web.BaseRequest, target: Route, logged: "_Logged"
) -> web.StreamResponse:
    def worded(status: int, detail: str) -> Answer:
        return endpoint.failure(status, detail, request.host, target)

    if namespace.latency:
        await asyncio.sleep(namespace.latency)
    if fault := namespace.faults.take_one(INSTEAD, target.path):
        return await instead(fault, request, worded)
    if not namespace.credits.take():
        text = f"SubCode=50004. The request was terminated because the namespace {namespace.name}"
        return to_response(worded(429, f"{text} is being throttled."))
    header = request.headers.get("Authorization")
    logged.refused = namespace.refusal(header, request.host, target.path, target.entity_path)
    if logged.refused:
        return to_response(worded(401, "claim is empty."))
    if request.method != "GET":
        return to_response(worded(405, "The simulator can only be read."))
    spoiled = namespace.faults.take(AFTERWARDS, target.path)
    content = {fault.kind: fault for fault in spoiled if fault.kind in _IN_CONTENT}
    answer = endpoint.respond(namespace, target, request.host, content)
    return await deliver(answer, spoiled, request) if spoiled else to_response(answer)


class _Logged:
    """Records a request in the log, however it ends."""

    def __init__(self, log: RequestLog, request: web.BaseRequest, target: Route) -> None:
        self._log, self._method, self._target = log, request.method, target
        self.response: web.StreamResponse | None = None
        self.refused = ""

    def __enter__(self) -> "_Logged":
        self._log.in_flight += 1
        self._log.most_in_flight = max(self._log.most_in_flight, self._log.in_flight)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.in_flight -= 1
        status = self.response.status if self.response is not None else 0
        target = self._target
        self._log.add(Request(self._method, target.path, target.query, status, time.time(), self.refused))
