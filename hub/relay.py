"""How a request on a TLS connection reaches the worker process that owns its namespace.

The TLS state is in the process that created it, so the connection itself can't be passed on (hub/owners.py). Instead,
the owner gets one end of a socket pair, along with the client's address; the request and its response pass through it
unchanged. The owner does everything else, including authentication.
"""

import contextlib
import http.client
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

from .owners import PATIENCE_SECONDS, Handover

# An owner answers by the scrape's deadline. One that hangs is killed after gunicorn's timeout of 60 s.
_ANSWER_SECONDS = 65.0
# Headers that apply to a single connection.
_HOP_BY_HOP = frozenset({"CONNECTION", "KEEP_ALIVE", "PROXY_CONNECTION", "TE", "UPGRADE", "EXPECT"})

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Relay:
    """Lets the owner answer a request. If it doesn't, the application answers as for any other request."""

    def __init__(self, handover: Handover, application: Application, threads: int) -> None:
        self._handover, self._application = handover, application
        # A relayed request uses a thread in both workers. Half of the threads are reserved for requests answered here.
        self._places = threading.Semaphore(max(1, threads // 2))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # Requests relayed to this worker arrive on another kind of socket, and are never passed on.
        if isinstance(environ.get("gunicorn.socket"), ssl.SSLSocket) and not _has_body(environ):
            line = f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} HTTP/1.1\r\n".encode("latin-1")
            slot = self._handover.elsewhere(line)
            answer = None
            if slot is not None and self._places.acquire(blocking=False):
                try:
                    answer = self._ask(slot, line, environ)
                finally:
                    self._places.release()
            if answer is not None:
                response, body = answer
                start_response(f"{response.status} {response.reason}", response.getheaders())
                return [body]
        return self._application(environ, start_response)

    def _ask(
        self, slot: int, line: bytes, environ: dict[str, Any]
    ) -> tuple[http.client.HTTPResponse, bytes] | None:
        """Return the owner's answer, or None if there is none."""
        try:
            own, others = socket.socketpair()
        except OSError:  # no free file descriptor
            return None
        with own:
            with others:
                client = (environ["REMOTE_ADDR"], int(environ.get("REMOTE_PORT", 0)))
                server = (environ["SERVER_NAME"], int(environ["SERVER_PORT"] or 0))
                token = self._handover.offer(slot, others, client, server)
            if token is None:
                return None
            with contextlib.suppress(OSError, http.client.HTTPException):
                own.settimeout(PATIENCE_SECONDS)
                own.sendall(line + _headers(environ))
                if not self._is_taken(slot, token, own):
                    return None
                own.settimeout(_ANSWER_SECONDS)
                response = http.client.HTTPResponse(own, method=environ["REQUEST_METHOD"])
                with response:
                    response.begin()
                    return response, response.read()
        return None

    def _is_taken(self, slot: int, token: int, own: socket.socket) -> bool:
        """Wait until the answer begins, or until it is time to take the request back; return whether it was taken."""
        try:
            own.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return not self._handover.take_back(slot, token)
        except OSError:
            os.close(token)
            raise
        os.close(token)
        return True


def _has_body(environ: dict[str, Any]) -> bool:
    return environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ


def _headers(environ: dict[str, Any]) -> bytes:
    """Return the request's headers; gunicorn drops those with an underscore in their name."""
    lines = [
        f"{name[5:].replace('_', '-')}: {value}\r\n"
        for name, value in environ.items()
        if name.startswith("HTTP_") and name[5:] not in _HOP_BY_HOP
    ]
    return "".join([*lines, "CONNECTION: close\r\n\r\n"]).encode("latin-1")
