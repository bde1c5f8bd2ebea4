"""The credit rule of a Standard namespace: 1,000 credits per second for all of its operations.

A management request costs 10, a message 1 (Microsoft's page on throttling of the Standard tier). Credits are renewed
every full second; unused ones are lost. A synthetic load of senders draws on the same credits, so that a test can count
how often a reader's requests left none for the senders.
"""

import threading
import time
from collections.abc import Callable

PER_SECOND = 1000
MANAGEMENT_COST = 10


class Credits:
    """The credits of one namespace. Not enforced until `enforce` is called (Premium has none)."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.enforced = False
        self._per_second = PER_SECOND
        self._management_cost = MANAGEMENT_COST
        self._sender_rate = 0.0
        self._reset()

    def enforce(
        self,
        *,
        sender_rate: float = 0.0,
        per_second: int = PER_SECOND,
        management_cost: int = MANAGEMENT_COST,
    ) -> None:
        """Enforce the rule from now on, with senders of `sender_rate` messages per second; reset all counters to 0."""
        with self._lock:
            self.enforced = True
            self._sender_rate = sender_rate
            self._per_second = per_second
            self._management_cost = management_cost
            self._reset()

    def lift(self) -> None:
        """Stop enforcing the rule; the counters keep their values."""
        with self._lock:
            self._advance()
            self.enforced = False

    @property
    def sender_throttled(self) -> int:
        """Messages that were refused for lack of credits."""
        return self._counter("_sender_throttled")

    @property
    def sender_sent(self) -> int:
        """Messages that were sent."""
        return self._counter("_sender_sent")

    @property
    def management_throttled(self) -> int:
        """Management requests that were answered with 429 for lack of credits."""
        return self._counter("_management_throttled")

    def take(self) -> bool:
        """Pay for one management request; return False if there are too few credits."""
        with self._lock:
            if not self.enforced:
                return True
            self._advance()
            if self._left < self._management_cost:
                self._management_throttled += 1
                return False
            self._left -= self._management_cost
            return True

    def _counter(self, name: str) -> int:
        with self._lock:
            self._advance()
            return int(getattr(self, name))

    def _reset(self) -> None:
        self._start = self._clock()
        self._window = int(self._start)
        self._left = self._per_second
        self._demanded = 0
        self._sender_sent = 0
        self._sender_throttled = 0
        self._management_throttled = 0

    def _advance(self) -> None:
        """Account for the senders' messages up to this moment, second by second."""
        if not self.enforced:
            return
        now = self._clock()
        while self._window < int(now):
            self._send_until(float(self._window + 1))
            self._window += 1
            self._left = self._per_second
        self._send_until(now)

    def _send_until(self, moment: float) -> None:
        demanded = int((moment - self._start) * self._sender_rate)
        messages = max(demanded - self._demanded, 0)
        sent = min(messages, self._left)
        self._left -= sent
        self._sender_sent += sent
        self._sender_throttled += messages - sent
        self._demanded = max(demanded, self._demanded)
