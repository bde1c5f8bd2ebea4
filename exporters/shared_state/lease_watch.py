"""The leases that this process holds, and those whose ends it waits for: one thread for all of its scrapes.

Once per period the thread renews all held leases with one command. Each waiting scrape sleeps on its own event. The
holder notifies all waiting processes when it releases the lease. Once per period the thread also checks all leases that
scrapes wait for, to find holders that died and compensate for lost notifications.
"""

import logging
import selectors
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress

from ..telemetry import internal_errors
from .store import Layer, Lease, Listener, StoreError

logger = logging.getLogger(__name__)

# A third of the lifetime of a lease in Redis without a renewal.
_PERIOD_SECONDS = 1.0


class Watch:
    """Renews leases and waits for their ends.

    Thread-safe. Its thread starts with the first lease, and ends with `close`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Lease, Layer] = {}
        self._waiting: defaultdict[tuple[Layer, str], set[threading.Event]] = defaultdict(set)
        self._new: set[tuple[Layer, str]] = set()
        self._thread: _Thread | None = None

    def hold(self, layer: Layer, lease: Lease) -> None:
        """Renew a lease until `let_go`."""
        with self._lock:
            self._started()
            self._held[lease] = layer

    def let_go(self, lease: Lease) -> None:
        with self._lock:
            self._held.pop(lease, None)

    def wait(self, layer: Layer, key: str, seconds: float) -> bool:
        """Sleep until a refused lease has ended; return False if it has not after `seconds` seconds.

        Also returns True if its store fails, or the lease is held again. It may return a period late if the holder died
        or a notification was lost.
        """
        event, place = threading.Event(), (layer, key)
        with self._lock:
            self._waiting[place].add(event)
            self._new.add(place)
            thread = self._started()
        thread.ring()
        try:
            return event.wait(max(0.0, seconds))
        finally:
            with self._lock:
                self._waiting[place].discard(event)
                if not self._waiting[place]:
                    del self._waiting[place]

    def close(self) -> None:
        """End the thread and wake all waiting scrapes. The next lease starts a new thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()
        self.wake(self.waited_for())

    # The following methods are for the thread.

    def held(self) -> dict[Layer, list[Lease]]:
        """Return the held leases by store."""
        found = defaultdict(list)
        with self._lock:
            for lease, layer in self._held.items():
                found[layer].append(lease)
        return found

    def waited_for(self) -> list[tuple[Layer, str]]:
        """Return the leases that scrapes wait for."""
        with self._lock:
            return list(self._waiting)

    def waited_for_since_the_last_call(self) -> list[tuple[Layer, str]]:
        with self._lock:
            new, self._new = self._new, set()
            return [place for place in new if place in self._waiting]

    def wake(self, places: Iterable[tuple[Layer, str]]) -> None:
        """Wake all scrapes that wait for these leases."""
        with self._lock:
            for place in places:
                for event in self._waiting.get(place, ()):
                    event.set()

    def _started(self) -> "_Thread":
        if self._thread is None:
            thread = _Thread(self)
            thread.start()
            self._thread = thread
        return self._thread


class _Thread(threading.Thread):
    def __init__(self, watch: Watch) -> None:
        super().__init__(name="leases", daemon=True)
        self._watch = watch
        self._is_closed = False
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._listeners: dict[Layer, Listener] = {}
        self._next_look = time.monotonic() + _PERIOD_SECONDS

    def ring(self) -> None:
        """Make the thread check what scrapes wait for now."""
        with suppress(OSError):  # full: it will check anyway; closed: all waiting scrapes are woken
            self._rope.send(b"!")

    def close(self) -> None:
        self._is_closed = True
        self.ring()
        self.join(5)

    def run(self) -> None:
        try:
            while not self._is_closed:
                try:
                    self._turn()
                except Exception as error:
                    internal_errors.report("background", error)
                    # Each scrape then checks by itself.
                    self._watch.wake(self._watch.waited_for())
                    time.sleep(_PERIOD_SECONDS)
        finally:
            for layer in list(self._listeners):
                self._stop_listening(layer)
            self._selector.close()
            self._bell.close()
            self._rope.close()

    def _turn(self) -> None:
        ready = self._selector.select(max(0.0, self._next_look - time.monotonic()))
        for key, _ in ready:
            if key.data is None:
                with suppress(BlockingIOError):
                    while self._bell.recv(4096):
                        pass
            else:
                self._read(key.data)
        # A lease may have ended after it was refused, and before the thread listened.
        self._look(self._watch.waited_for_since_the_last_call())
        if time.monotonic() >= self._next_look:
            self._renew()
            self._look(self._watch.waited_for(), is_late=True)
            self._next_look = time.monotonic() + _PERIOD_SECONDS

    def _read(self, layer: Layer) -> None:
        listener = self._listeners.get(layer)
        if listener is None:  # closed in this turn
            return
        try:
            ended = listener.read()
        except StoreError:
            self._stop_listening(layer)
            # Finds out whether the store failed, or only this connection ended.
            self._look(place for place in self._watch.waited_for() if place[0] is layer)
        else:
            self._watch.wake((layer, key) for key in ended)

    def _renew(self) -> None:
        for layer, leases in self._watch.held().items():
            if layer.is_working():
                try:
                    layer.store.renew(leases)
                except StoreError as error:
                    layer.note_failure(error)

    def _look(self, places: Iterable[tuple[Layer, str]], *, is_late: bool = False) -> None:
        """Wake the scrapes that wait for ended leases. `is_late`: a notification should have arrived."""
        keys = defaultdict(list)
        for layer, key in places:
            keys[layer].append(key)
        for layer in keys:
            self._look_in(layer, keys[layer], is_late)

    def _look_in(self, layer: Layer, keys: list[str], is_late: bool) -> None:
        try:
            if not layer.is_working():
                raise StoreError("It failed a moment ago.")
            if layer not in self._listeners:
                self._listen_again(layer)
            ended = layer.store.ended(keys)
            self._watch.wake((layer, key) for key in ended)
            if ended and is_late:  # the holder died, or notifications no longer arrive
                self._listen_again(layer)
        except StoreError as error:
            if layer.is_working():
                layer.note_failure(error)
            self._stop_listening(layer)
            self._watch.wake(place for place in self._watch.waited_for() if place[0] is layer)

    def _listen_again(self, layer: Layer) -> None:
        """Start a new listener before closing the old one, so that nothing is missed in between."""
        listener = layer.store.listen()
        self._stop_listening(layer)
        self._listeners[layer] = listener
        self._selector.register(listener, selectors.EVENT_READ, layer)

    def _stop_listening(self, layer: Layer) -> None:
        listener = self._listeners.pop(layer, None)
        if listener is not None:
            self._selector.unregister(listener)
            listener.close()
