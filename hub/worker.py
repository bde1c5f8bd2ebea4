"""gunicorn's threaded worker, in which a client takes a thread only while it says something, and scrapes of a namespace
go to one worker process (hub/owners.py).

gunicorn's own gives each new connection a thread for up to 5 s before its first byte, and for good from its first byte
on: as many clients as there are threads, which begin a request or a TLS handshake and vanish, and no scrape is answered
any more. And its loop waits for up to 2 s for each client that doesn't close a connection after its last answer.
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

# From the connection to its first byte: nobody waits in a thread meanwhile.
_FIRST_BYTE_SECONDS = 10.0
# From the first byte of a request to the end of its headers, the TLS handshake included.
_HEAD_SECONDS = 5.0
# Between two pieces of a request's body, and for the whole of an answer to be taken: above what a slow network needs.
_BODY_SECONDS = 20.0
# From an answer after which the connection ends to its end: for what the client still sends, and how many bytes of it.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 65_536
_NO_MORE_FILES = {errno.EMFILE, errno.ENFILE}
# Without a free file descriptor: until it is tried again, and between two lines of the log.
_PAUSE_SECONDS = 1.0
_TOLD_EVERY_SECONDS = 60.0


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn publishes no types
    """Waits for first bytes in its poller, and ends what begins a request and does not go on."""

    slot = 0  # hub/gunicorn.py sets it before it forks

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handover: owners.Handover | None = None
        # Connections whose headers a thread reads: since when (monotonic).
        self._reading: dict[TConn, float] = {}
        self._reading_lock = threading.Lock()
        # Connections that have had their last answer: how many bytes have come since.
        self._lingering: dict[TConn, int] = {}
        self._accepts_from = -math.inf  # monotonic: not before that
        self._told_at = -math.inf

    def init_process(self) -> None:
        """Begin to work, in the new process."""
        if owners.slots is not None:
            self._handover = owners.Handover(owners.slots, self.slot, settings.FORCE_SCRIPT_NAME or "")
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application."""
        super().load_wsgi()
        if self._handover is not None and self.cfg.is_ssl:
            self.wsgi = Relay(self._handover, self.app.wsgi(), self.cfg.threads)

    def accept(self, listener: Any) -> None:
        """Accept a connection; without a free file descriptor leave it waiting, where gunicorn's own worker ends."""
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
                logger.error("Connections have to wait, as this process may open no more files: %s", error)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin or cease to accept connections; the loop asks for it at each of its turns."""
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
        """Give a connection that can be read to a thread or to another worker, and a new one to the poller."""
        if conn.initialized or conn.data_ready:
            if not self._send(conn):
                super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + _FIRST_BYTE_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _send(self, conn: TConn) -> bool:
        """Send a connection to the worker that its request belongs to; return whether there is another one."""
        if self._handover is None or self.cfg.is_ssl:
            return False
        if conn.parser is not None and conn.parser.unreader.buf.getvalue():
            return False  # a part of the request has been read
        return self._handover.send(conn, conn.sock, conn.client, conn.server)

    def _take(self, handover: owners.Handover, channel: socket.socket) -> None:
        """Answer the requests that other workers have sent."""
        for taken in handover.take():
            self.nr_conns += 1
            conn = TConn(self.cfg, *taken)
            # Never with TLS, which init() would begin: see hub/relay.py.
            conn.initialized = True
            conn.parser = get_parser(self.cfg, conn.sock, conn.client)
            super().enqueue_req(conn)

    def _settle(self, handover: owners.Handover) -> None:
        """Let go of connections that others have taken; answer on those that nobody took."""
        for conn, taken in handover.settled():
            if taken:
                self.nr_conns -= 1
                conn.close()
            else:
                super().enqueue_req(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, but no longer than until a connection has to be taken back."""
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
        """Answer a request whose headers have come."""
        self._has_read(conn)
        conn.sock.settimeout(_BODY_SECONDS)
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            logger.debug("A client took no answer for %g s.", _BODY_SECONDS)
            return False

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Keep a connection after an answer, or close it once the client has closed it or had time for that.

        Closed at once, with something of the client's unread, it could be reset before the client has read the answer.
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
        except (OSError, ValueError):  # it is over already
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
        """Close connections without a first byte, and end those whose headers don't come to an end."""
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
        """Keep no connection for longer than until the deadline, as the worker ends; silent ones neither."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _has_read(self, conn: TConn) -> None:
        with self._reading_lock:
            self._reading.pop(conn, None)


def _end(connection: socket.socket) -> None:
    """Let whoever reads from a socket find its end; the thread that reads then closes it."""
    with contextlib.suppress(OSError):  # it is over already
        # Not the TLS socket's own way, which takes its state away under the thread that uses it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
