"""gunicorn's threaded worker, changed so that idle clients use no thread and each namespace is scraped by one process.

In gunicorn's own worker, a new connection occupies a thread for up to 5 s until its first byte, and then without a time
limit. If as many clients as there are threads begin a request or a TLS handshake and then stall, the worker answers no
more scrapes. Its loop also waits for up to 2 s for each client that doesn't close a connection after its last
response. hub/owners.py assigns namespaces to processes.
"""

import contextlib
import errno
import logging
import math
import socket
import threading
import time
from functools import partial
from selectors import EVENT_READ
from typing import Any

from django.conf import settings
from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn, ThreadWorker

from . import owners
from .relay import Relay

logger = logging.getLogger(__name__)

# From the connection to its first byte. No thread waits during this time.
_FIRST_BYTE_SECONDS = 10.0
# From the first byte of a request to the end of its headers, including the TLS handshake.
_HEAD_SECONDS = 5.0
# Between two pieces of a request's body, and for sending a whole response: more than a slow network needs.
_BODY_SECONDS = 20.0
# After the last response on a connection: how long, and for how many bytes, to keep reading until the client closes it.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 65_536
_NO_MORE_FILES = {errno.EMFILE, errno.ENFILE}
# Without a free file descriptor: the pause before the next attempt, and the interval between log lines.
_PAUSE_SECONDS = 1.0
_TOLD_EVERY_SECONDS = 60.0


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn publishes no types
    """Waits for the first byte of each connection in the poller, and ends requests that stall."""

    slot = 0  # set by hub/gunicorn.py before the fork

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handover: owners.Handover | None = None
        # Connections whose headers a thread is reading, with the start time (monotonic).
        self._reading: dict[TConn, float] = {}
        self._reading_lock = threading.Lock()
        # Connections that have had their last response, with the number of bytes received since.
        self._lingering: dict[TConn, int] = {}
        self._accepts_from = -math.inf  # monotonic; don't accept before
        self._told_at = -math.inf

    def init_process(self) -> None:
        """Create the handover to other workers, and run the worker; called in the new process."""
        if owners.slots is not None:
            self._handover = owners.Handover(owners.slots, self.slot, settings.FORCE_SCRIPT_NAME or "")
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application."""
        super().load_wsgi()
        if self._handover is not None and self.cfg.is_ssl:
            self.wsgi = Relay(self._handover, self.app.wsgi(), self.cfg.threads)

    def accept(self, listener: Any) -> None:
        """Accept a connection.

        If the process has no free file descriptors, leave the connection in the backlog; gunicorn's worker would exit.
        """
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in _NO_MORE_FILES:
                raise
            now = time.monotonic()
            self._accepts_from = now + _PAUSE_SECONDS
            self.set_accept_enabled(False)
            if now - self._told_at > _TOLD_EVERY_SECONDS:
                self._told_at = now
                logger.error(
                    "New connections are waiting: this process has no free file descriptors: %s", error
                )

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting connections; the loop calls this on every iteration."""
        before = self._accepting
        super().set_accept_enabled(enabled and time.monotonic() >= self._accepts_from)
        handover = self._handover
        if handover is None or self._accepting == before:
            return
        if self._accepting:
            self.poller.register(handover.channel, EVENT_READ, partial(self._take, handover))
        else:
            handover.close()
            self.poller.unregister(handover.channel)
            self._take(handover, handover.channel)

    def enqueue_req(self, conn: TConn) -> None:
        """Pass a readable connection to a thread or another worker, and a new one to the poller."""
        if conn.initialized or conn.data_ready:
            if not self._send(conn):
                super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + _FIRST_BYTE_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _send(self, conn: TConn) -> bool:
        """Pass a connection to the worker that its request belongs to; return whether it was passed."""
        if self._handover is None or self.cfg.is_ssl:
            return False
        if conn.parser is not None and conn.parser.unreader.buf.getvalue():
            return False  # part of the request has been read
        return self._handover.send(conn, conn.sock, conn.client, conn.server)

    def _take(self, handover: owners.Handover, channel: socket.socket) -> None:
        """Answer the requests that other workers have passed on."""
        for taken in handover.take():
            self.nr_conns += 1
            conn = TConn(self.cfg, *taken)
            # Skip init(), which would start TLS: with TLS, requests are relayed instead (hub/relay.py).
            conn.initialized = True
            conn.parser = get_parser(self.cfg, conn.sock, conn.client)
            super().enqueue_req(conn)

    def _settle(self, handover: owners.Handover) -> None:
        """Close connections that others have taken; answer those that nobody took."""
        for conn, taken in handover.settled():
            if taken:
                self.nr_conns -= 1
                conn.close()
            else:
                super().enqueue_req(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, but only until the next connection has to be taken back."""
        if self._handover is not None:
            if self._accepting:
                self._handover.open()
            wait = self._handover.seconds_to_wait()
            timeout = timeout if wait is None else min(timeout, wait)
        super().wait_for_and_dispatch_events(timeout)
        if self._handover is not None:
            self._settle(self._handover)

    def handle(self, conn: TConn) -> Any:
        """Read and answer a request, in a thread."""
        with self._reading_lock:
            self._reading[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._has_read(conn)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answer a request whose headers have arrived."""
        self._has_read(conn)
        conn.sock.settimeout(_BODY_SECONDS)
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            logger.debug("A client did not accept its response within %g s.", _BODY_SECONDS)
            return False

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Keep a connection after a response, or close it once the client has closed it or had time to.

        Closing it immediately, with unread data from the client, could reset it before the client has read the
        response.
        """
        if not fs.cancelled() and (fs.exception() or fs.result()):
            super().finish_request(conn, fs)
            return
        self._lingering[conn] = 0
        conn.timeout = time.monotonic() + _LINGER_SECONDS
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, EVENT_READ, partial(self._drain, conn))
        except (OSError, ValueError):  # already closed
            self._close(conn)

    def _drain(self, conn: TConn, sock: socket.socket) -> None:
        try:
            data = sock.recv(_LINGER_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._lingering[conn] += len(data)
        if not data or self._lingering[conn] > _LINGER_BYTES:
            self._close(conn)

    def _close(self, conn: TConn) -> None:
        del self._lingering[conn]
        with contextlib.suppress(OSError, KeyError, ValueError):  # it may not be registered
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Close connections without a first byte, and end those whose headers don't complete."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn in self._lingering if conn.timeout < now]:
            self._close(conn)
        with self._reading_lock:
            reading = list(self._reading.items())
        latest = now - _HEAD_SECONDS
        for conn, since in reading:
            if since < latest:
                _end(conn.sock)

    def _cap_keepalive(self, deadline: float) -> None:
        """When the worker shuts down, close all connections by the deadline, even those that have sent nothing."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _has_read(self, conn: TConn) -> None:
        with self._reading_lock:
            self._reading.pop(conn, None)


def _end(connection: socket.socket) -> None:
    """Make the thread that reads from a socket see end-of-file; that thread then closes the socket."""
    with contextlib.suppress(OSError):  # already closed
        # Not the TLS socket's own shutdown(), which removes its state while a thread uses it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
