"""How a request on a TLS connection gets to the worker process that its namespace belongs to.

The state of TLS is in the process that made it, so that the connection itself can't be sent (hub/owners.py). The owner
gets one end of a pair of sockets instead, and the client's address beside it; the request and its answer go through
that as they are. The owner does everything else, authentication included.
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
# What concerns one connection.
_HOP_BY_HOP = frozenset({"CONNECTION", "KEEP_ALIVE", "PROXY_CONNECTION", "TE", "UPGRADE", "EXPECT"})

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Relay:
    """Has the owner answer a request; without it the application answers, as for any other request."""

    def __init__(self, handover: Handover, application: Application, threads: int) -> None:
        self._handover, self._application = handover, application
        # A relayed request takes a thread here and one there. Half of the threads are left for what is answered here.
        self._places = threading.Semaphore(max(1, threads // 2))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # What was sent here comes on another kind of socket, and is never sent on.
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
        """Return the owner's answer, None when there is none."""
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
        """Wait for the answer to begin, or until it is time to take the request back."""
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
    """Return the request's headers; gunicorn takes none with an underscore in its name."""
    lines = [
        f"{name[5:].replace('_', '-')}: {value}\r\n"
        for name, value in environ.items()
        if name.startswith("HTTP_") and name[5:] not in _HOP_BY_HOP
    ]
    return "".join([*lines, "CONNECTION: close\r\n\r\n"]).encode("latin-1")
