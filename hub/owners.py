"""Which worker process answers a namespace's scrapes, and how a request gets there.

Connections to Service Bus and what is known of a namespace stay in the process that made them. So each namespace has an
owner among the worker processes of this machine. A worker that meets a request for another's namespace sends the
client's connection to the owner, with the request still unread. The owner then answers as if it had accepted the
connection itself: nothing is copied, and addresses, tokens, limits and logs are those of any other request.

gunicorn's master makes the sockets for it before it forks. They have no name, so that no other process can reach them.
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

# For so long a worker waits for the owner to take a request, and then answers it itself.
PATIENCE_SECONDS = 1.0
# For so long an owner that took no request gets none.
_SHUNNED_SECONDS = 5.0
# Of a request's head: Prometheus's has some 400 bytes. A request with a longer one is not sent on.
_HEAD_BYTES = 4096
# What a message holds besides descriptors: two addresses.
_MESSAGE_BYTES = 1024

# Before the loop turns to other connections.
_TAKEN_AT_ONCE = 16

Address = tuple[Any, ...] | str


class Slots:
    """The places that worker processes take, shared by them and by gunicorn's master.

    A namespace belongs to a slot, so that a worker's successor has the same namespaces. While a slot is empty, its
    namespaces alone belong to others.
    """

    def __init__(self, number: int) -> None:
        self._channels = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(number)]
        for ends in self._channels:
            for end in ends:
                end.setblocking(False)
        # Who is there, by slot; 0: nobody. Aligned words, each of which is written at once.
        self._pids = memoryview(mmap.mmap(-1, 4 * number)).cast("I")

    def __len__(self) -> int:
        return len(self._channels)

    def least_used(self, used: Sequence[int]) -> int:
        """Return the slot for a new worker, given those of the others. During a reload, two workers share a slot."""
        return min(range(len(self)), key=used.count)

    def enter(self, slot: int) -> None:
        """Tell the others that this process takes requests."""
        pid = os.getpid()
        if self._pids[slot] != pid:
            self._pids[slot] = pid

    def leave(self, slot: int, pid: int) -> None:
        """Tell the others that a process takes no more requests. Its successor may be there already."""
        if self._pids[slot] == pid:
            self._pids[slot] = 0

    def owner(self, name: bytes) -> int | None:
        """Return the slot that a namespace belongs to, of those where a worker is; None where there is none.

        By rendezvous hashing: when one slot becomes empty, the other slots keep what they have.
        """
        weights = memoryview(hashlib.shake_128(name).digest(4 * len(self))).cast("I")
        taken = [slot for slot, pid in enumerate(self._pids) if pid]
        return max(taken, key=weights.__getitem__, default=None)

    def sender(self, slot: int) -> socket.socket:
        return self._channels[slot][0]

    def receiver(self, slot: int) -> socket.socket:
        return self._channels[slot][1]


class Sent(NamedTuple):
    """A connection that was sent to its owner."""

    connection: Any  # what its sender knows it by
    token: int  # an eventfd that holds 1 until somebody takes the connection
    slot: int
    at: float  # monotonic


class Taken(NamedTuple):
    """A connection that another worker has sent."""

    sock: socket.socket
    client: Address
    server: Address


class Handover:
    """What one worker sends to others, and takes from them.

    For the thread of its loop alone, but for elsewhere(), offer() and take_back(), which any thread may call.
    """

    def __init__(self, slots: Slots, slot: int, path: str) -> None:
        """`path` is the one of HUB_EXTERNAL_URL, which a proxy may leave in front of the hub's own."""
        self._slots, self._slot = slots, slot
        self._request = re.compile(
            rb"(?:GET|HEAD) (?:%b)?/metrics/([^/?#\s]+)[? ]" % re.escape(path.encode("ascii"))
        )
        self._sent: deque[Sent] = deque()
        self._shunned_until = [0.0] * len(slots)  # monotonic

    @property
    def channel(self) -> socket.socket:
        """What can be read when somebody sent a connection."""
        return self._slots.receiver(self._slot)

    def open(self) -> None:
        """Let others send; to be called again and again."""
        self._slots.enter(self._slot)

    def close(self) -> None:
        """Let others send no more. What they have sent, this worker's successor takes, or they take it back."""
        self._slots.leave(self._slot, os.getpid())

    def send(self, connection: Any, sock: socket.socket, client: Address, server: Address) -> bool:
        """Send a plain connection whose next request belongs to another worker; return whether it was sent.

        The caller leaves it alone until settled() returns it. Only a request whose head has come in whole is sent on:
        a client that dawdles holds a thread of the worker that it met.
        """
        try:
            head = sock.recv(_HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return False  # whoever reads it will see why
        if b"\r\n\r\n" not in head:
            return False
        slot = self.elsewhere(head)
        token = None if slot is None else self.offer(slot, sock, client, server)
        if slot is None or token is None:
            return False
        self._sent.append(Sent(connection, token, slot, time.monotonic()))
        return True

    def elsewhere(self, head: bytes) -> int | None:
        """Return the slot that a request belongs to, given its first line; None when it is answered here."""
        asked = self._request.match(head)
        slot = None if asked is None else self._slots.owner(asked[1])
        if slot is None or slot == self._slot or time.monotonic() < self._shunned_until[slot]:
            return None
        return slot

    def offer(self, slot: int, sock: socket.socket, client: Address, server: Address) -> int | None:
        """Send a connection to a slot; return the token to take it back with, None when it could not be sent."""
        try:
            token = os.eventfd(1, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:  # no free file descriptor
            return None
        message = json.dumps([client, server]).encode()
        try:
            socket.send_fds(self._slots.sender(slot), [message], [sock.fileno(), token])
        except OSError:  # it has more of them than it can take
            os.close(token)
            return None
        return token

    def take_back(self, slot: int, token: int) -> bool:
        """Return whether nobody took what was offered. Its owner then gets nothing for a while."""
        if not _claim(token):
            return False
        now = time.monotonic()
        if now >= self._shunned_until[slot]:
            self._shunned_until[slot] = now + _SHUNNED_SECONDS
            logger.warning(
                "A worker process did not take a request for one of its namespaces within %g s. For %g s "
                "other worker processes answer them.",
                PATIENCE_SECONDS,
                _SHUNNED_SECONDS,
            )
        return True

    def seconds_to_wait(self) -> float | None:
        """Return when settled() has something to do; None when nothing was sent."""
        return max(0.0, self._sent[0].at + PATIENCE_SECONDS - time.monotonic()) if self._sent else None

    def settled(self) -> Iterator[tuple[Any, bool]]:
        """Yield connections that were sent a while ago, and whether somebody has taken them.

        What nobody took is the caller's again, its request still unread. What was taken the caller closes.
        """
        now = time.monotonic()
        while self._sent and self._sent[0].at + PATIENCE_SECONDS <= now:
            sent = self._sent.popleft()
            yield sent.connection, not self.take_back(sent.slot, sent.token)

    def take(self) -> Iterator[Taken]:
        """Yield the connections that were sent here, except for those that their senders took back."""
        for _ in range(_TAKEN_AT_ONCE):
            try:
                message, descriptors, _, _ = socket.recv_fds(
                    self.channel, _MESSAGE_BYTES, 2, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            if len(descriptors) != 2:  # this process may open no more files
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
    """Return whether the connection of this token is the caller's: the first who asks gets it."""
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
    """Make the slots, before gunicorn forks. Only Linux has what it takes; elsewhere any worker answers for all."""
    global slots
    if workers > 1 and hasattr(os, "eventfd"):
        slots = Slots(workers)
