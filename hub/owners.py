"""Which worker process answers a namespace's scrapes, and how requests reach it.

Connections to Service Bus and cached data about a namespace stay in the process that created them. So each namespace
has an owner among this machine's worker processes. A worker that receives a request for another worker's namespace
passes the client's connection to the owner, with the request still unread. The owner then answers as if it had accepted
the connection itself: nothing is copied, and addresses, tokens, limits and logs are the same as for any other request.

gunicorn's master creates the sockets for this before it forks. They have no name, so no other process can reach them.
"""

import hashlib
import json
import logging
import mmap
import os
import re
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

logger = logging.getLogger(__name__)

# How long a worker waits for the owner to take a request before it answers the request itself.
PATIENCE_SECONDS = 1.0
# How long an owner that took no request gets no more of them.
_SHUNNED_SECONDS = 5.0
# The most bytes of a request's head to inspect: Prometheus's has about 400. A request with a longer head is not passed
# on.
_HEAD_BYTES = 4096
# A message contains two addresses, in addition to descriptors.
_MESSAGE_BYTES = 1024

# Connections taken before the loop serves others.
_TAKEN_AT_ONCE = 16

Address = tuple[Any, ...] | str


class Slots:
    """The slots of worker processes, shared by them and gunicorn's master.

    A namespace belongs to a slot, so a worker's successor gets the same namespaces. While a slot is empty, only its
    namespaces move to other slots.
    """

    def __init__(self, number: int) -> None:
        self._channels = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(number)]
        for ends in self._channels:
            for end in ends:
                end.setblocking(False)
        # The worker's process ID per slot; 0: empty. Aligned words, so that each is written atomically.
        self._pids = memoryview(mmap.mmap(-1, 4 * number)).cast("I")

    def __len__(self) -> int:
        return len(self._channels)

    def least_used(self, used: Sequence[int]) -> int:
        """Return the slot for a new worker, given the slots of the others.

        During a reload, two workers share a slot.
        """
        return min(range(len(self)), key=used.count)

    def enter(self, slot: int) -> None:
        """Announce to the other workers that this process takes requests."""
        pid = os.getpid()
        if self._pids[slot] != pid:
            self._pids[slot] = pid

    def leave(self, slot: int, pid: int) -> None:
        """Announce that a process takes no more requests. Its successor may already have the slot."""
        if self._pids[slot] == pid:
            self._pids[slot] = 0

    def owner(self, name: bytes) -> int | None:
        """Return the slot that a namespace belongs to, among those with a worker; None if there is none.

        Uses rendezvous hashing: when one slot becomes empty, the others keep their namespaces.
        """
        weights = memoryview(hashlib.shake_128(name).digest(4 * len(self))).cast("I")
        taken = [slot for slot, pid in enumerate(self._pids) if pid]
        return max(taken, key=weights.__getitem__, default=None)

    def sender(self, slot: int) -> socket.socket:
        return self._channels[slot][0]

    def receiver(self, slot: int) -> socket.socket:
        return self._channels[slot][1]


class Sent(NamedTuple):
    """A connection that was passed to its owner."""

    connection: Any  # the sender's object for the connection
    token: int  # an eventfd that holds 1 until someone claims the connection
    slot: int
    at: float  # monotonic


class Taken(NamedTuple):
    """A connection that another worker passed on."""

    sock: socket.socket
    client: Address
    server: Address


class Handover:
    """Passes connections to other workers and takes connections from them.

    Use it only in the thread of the worker's loop, except for elsewhere(), offer() and take_back(), which are
    thread-safe.
    """

    def __init__(self, slots: Slots, slot: int, path: str) -> None:
        """`path` is the path of HUB_EXTERNAL_URL, which a proxy may leave in front of the hub's own."""
        self._slots, self._slot = slots, slot
        self._request = re.compile(
            rb"(?:GET|HEAD) (?:%b)?/metrics/([^/?#\s]+)[? ]" % re.escape(path.encode("ascii"))
        )
        self._sent: deque[Sent] = deque()
        self._shunned_until = [0.0] * len(slots)  # monotonic

    @property
    def channel(self) -> socket.socket:
        """Return the socket that is readable when someone has passed a connection."""
        return self._slots.receiver(self._slot)

    def open(self) -> None:
        """Let others pass connections to this worker; call this repeatedly."""
        self._slots.enter(self._slot)

    def close(self) -> None:
        """Stop others from passing connections.

        This worker's successor takes those already passed, or their senders do.
        """
        self._slots.leave(self._slot, os.getpid())

    def send(self, connection: Any, sock: socket.socket, client: Address, server: Address) -> bool:
        """Pass a plain connection to the owner of its next request; return whether it was passed.

        The caller must not use it until settled() yields it. Only a request with a complete head is passed on: a slow
        client holds a thread of the worker that accepted it.
        """
        try:
            head = sock.recv(_HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return False  # whoever reads from it gets the error
        if b"\r\n\r\n" not in head:
            return False
        slot = self.elsewhere(head)
        token = None if slot is None else self.offer(slot, sock, client, server)
        if slot is None or token is None:
            return False
        self._sent.append(Sent(connection, token, slot, time.monotonic()))
        return True

    def elsewhere(self, head: bytes) -> int | None:
        """Return the slot that a request belongs to, given its first line; None if this worker answers it."""
        asked = self._request.match(head)
        slot = None if asked is None else self._slots.owner(asked[1])
        if slot is None or slot == self._slot or time.monotonic() < self._shunned_until[slot]:
            return None
        return slot

    def offer(self, slot: int, sock: socket.socket, client: Address, server: Address) -> int | None:
        """Pass a connection to a slot; return the token to take it back with, or None if it could not be passed."""
        try:
            token = os.eventfd(1, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:  # no free file descriptor
            return None
        message = json.dumps([client, server]).encode()
        try:
            socket.send_fds(self._slots.sender(slot), [message], [sock.fileno(), token])
        except OSError:  # its queue is full
            os.close(token)
            return None
        return token

    def take_back(self, slot: int, token: int) -> bool:
        """Return whether nobody took the offered connection. Its owner then gets no requests for a while."""
        if not _claim(token):
            return False
        now = time.monotonic()
        if now >= self._shunned_until[slot]:
            self._shunned_until[slot] = now + _SHUNNED_SECONDS
            logger.warning(
                "A worker process did not take a request for one of its namespaces within %g s. Other worker "
                "processes will answer its requests for %g s.",
                PATIENCE_SECONDS,
                _SHUNNED_SECONDS,
            )
        return True

    def seconds_to_wait(self) -> float | None:
        """Return the seconds until settled() has something to do; None if nothing was passed."""
        return max(0.0, self._sent[0].at + PATIENCE_SECONDS - time.monotonic()) if self._sent else None

    def settled(self) -> Iterator[tuple[Any, bool]]:
        """Yield connections that were passed a while ago, and whether someone took each of them.

        A connection that nobody took belongs to the caller again, with its request unread. The caller closes those
        taken.
        """
        now = time.monotonic()
        while self._sent and self._sent[0].at + PATIENCE_SECONDS <= now:
            sent = self._sent.popleft()
            yield sent.connection, not self.take_back(sent.slot, sent.token)

    def take(self) -> Iterator[Taken]:
        """Yield the connections that were passed to this worker, except those that their senders took back."""
        for _ in range(_TAKEN_AT_ONCE):
            try:
                message, descriptors, _, _ = socket.recv_fds(
                    self.channel, _MESSAGE_BYTES, 2, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            if len(descriptors) != 2:  # this process can't open more files
                for descriptor in descriptors:
                    os.close(descriptor)
                return
            descriptor, token = descriptors
            if not _claim(token):
                os.close(descriptor)
                continue
            client, server = (tuple(each) if isinstance(each, list) else each for each in json.loads(message))
            yield Taken(socket.socket(fileno=descriptor), client, server)


def _claim(token: int) -> bool:
    """Return whether the caller gets this token's connection: only the first claim succeeds."""
    try:
        os.eventfd_read(token)
    except BlockingIOError:
        return False
    finally:
        os.close(token)
    return True


slots: Slots | None = None
"""Made by gunicorn's master; None where there is no other worker to send anything to."""


def make_slots(workers: int) -> None:
    """Create the slots, before gunicorn forks. They need Linux; on other systems, any worker answers any request."""
    global slots
    if workers > 1 and hasattr(os, "eventfd"):
        slots = Slots(workers)
