"""Decide which reads a process may begin now, which have to wait, and which it can't finish in time.

A process with too many reads under way finishes none of them in time, so each read needs admission. It may begin while
both of these hold:

- The I/O loop is not late. Its lag shows how much work is ready but not done, whatever the cause: too many reads,
  other threads, other programs on the same cores. Reads that only wait for an endpoint or for their budget don't count.
- The debt is small. Each read that begins adds its expected cost, and the debt shrinks over time. This keeps a process
  from starting more reads than it can process when their answers arrive, which the loop's lag shows only afterwards.

Other reads wait in a queue, earliest deadline first. The queue's recent speed predicts when a read will have its turn.
A read that would begin too late is refused: on arrival, or later if the queue slows down.

Everything here is plain arithmetic on times that the caller passes in.
"""

import math
from bisect import insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from ..servicebus.entities import Snapshot

# Above this lag of the loop, almost no reads begin. A read takes about 20 turns of the loop, each of them this late.
_LATE_SECONDS = 0.03
# Seconds of expected CPU time that begin per second however late the loop is: if other threads or programs make it
# late, holding reads back would not help.
_MIN_SPEED = 0.1
# CPU time that may begin at once, in seconds.
_BURST_SECONDS = 0.2
# Headroom over the queue's recent speed, to find out whether the process can do more.
_HEADROOM = 1.5
# The same while the loop has almost no lag.
_HEADROOM_AT_EASE = 3.0
# A read waits for at most _WAITING_SHARE of its time. On arrival it must fit a smaller share, so that the queue can
# slow down without refusing reads late. A namespace whose last scrape was refused gets a larger share, so that the same
# ones are not refused again and again.
_PROMISED_SHARE = 0.2
_PROMISED_SHARE_AFTER_REFUSAL = 0.3
_WAITING_SHARE = 0.5
# Share of the process that connection tests may use. They go before scrapes.
_CONNECTION_TEST_SHARE = 0.2
# The queue's speed is measured over periods of this length; each measurement has this weight.
_PERIOD_SECONDS = 0.5
_WEIGHT = 0.3
# Time constant for the speed to return to 1 while nothing waits: an old speed doesn't predict the next queue.
_FORGET_SECONDS = 10.0
# CPU time of a read on open connections, including the response to Prometheus, measured by `make bench`. Only the
# ratios between namespaces matter: the queue's speed accounts for the machine.
_SECONDS_OF_A_READ = 0.003
_SECONDS_OF_A_REQUEST = 0.0003
_SECONDS_OF_AN_ENTITY = 0.00004
# Until a read has been measured.
_UNKNOWN_SECONDS = 0.01
_KEPT = 20_000


def cost_of(snapshot: Snapshot) -> float:
    """Return the CPU time in seconds that a read like this one is expected to take."""
    entities = len(snapshot.queues) + len(snapshot.topics) + len(snapshot.subscriptions)
    return _SECONDS_OF_A_READ + _SECONDS_OF_A_REQUEST * snapshot.requests + _SECONDS_OF_AN_ENTITY * entities


class Verdict(Enum):
    """The decision about a read."""

    BEGINS = "begins"
    WAITS = "waits"
    REFUSED = "refused"


@dataclass(slots=True, eq=False)
class Entrant:
    """A read that requests admission."""

    name: str  # the namespace; empty for a connection test
    came_at: float
    deadline: float
    cost: float = field(default=_UNKNOWN_SECONDS, init=False)

    def share(self, of_time: float) -> float:
        """Return when this share of the read's time is over."""
        return self.came_at + of_time * (self.deadline - self.came_at)


@dataclass(slots=True)
class _Known:
    cost: float
    was_refused: bool = False


class _Line:
    """The waiting reads, and the remaining cost of those that have begun."""

    def __init__(self) -> None:
        self.waiting: list[Entrant] = []
        self.debt = 0.0  # seconds of CPU

    def seconds_before(self, entrant: Entrant, speed: float) -> float:
        """Return the seconds until this read may begin."""
        before = sum(each.cost for each in self.waiting if each.deadline <= entrant.deadline)
        return (max(0.0, self.debt - _BURST_SECONDS) + before) / speed


class AdmissionQueue:
    """The admission queue of one process. Not thread-safe."""

    def __init__(self, now: float) -> None:
        self._scrapes, self._connection_tests = _Line(), _Line()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._usual_cost = _UNKNOWN_SECONDS
        self._at = now  # the time that the debts refer to
        self._speed = 1.0  # seconds of expected CPU time that begin per second while reads wait
        self._period_began = now
        self._begun_in_period = 0.0
        self._looked_at = now
        self._lag_before = 0.0

    @property
    def waiting(self) -> int:
        """The number of waiting reads."""
        return len(self._scrapes.waiting) + len(self._connection_tests.waiting)

    @property
    def speed(self) -> float:
        """Seconds of expected CPU time that begin per second while reads wait, as recently measured."""
        return self._speed

    def wait_seconds(self, now: float) -> float:
        """Return how long a scrape that arrived now with the latest deadline of all would wait."""
        return self._scrapes.seconds_before(Entrant("all", now, math.inf), self._speed)

    def promised_share(self, name: str) -> float:
        """Return the share of its time that a scrape of this namespace may have to wait."""
        known = self._known.get(name)
        return _PROMISED_SHARE_AFTER_REFUSAL if known is not None and known.was_refused else _PROMISED_SHARE

    def refused(self, name: str) -> None:
        """Record that a scrape of this namespace was refused."""
        if name:
            self._note(name, was_refused=True)

    def arrive(self, entrant: Entrant, now: float, lag: float) -> Verdict:
        """Decide about a read that arrives. `lag`: how late the loop was when it picked up the read, in seconds."""
        self._advance(now, lag)
        line, speed = self._line_of(entrant)
        known = self._known.get(entrant.name)
        entrant.cost = known.cost if known is not None else self._usual_cost
        if not line.waiting and line.debt < _BURST_SECONDS:
            self._begin(entrant)
            return Verdict.BEGINS
        promised = self.promised_share(entrant.name)
        if now + line.seconds_before(entrant, speed) > entrant.share(promised):
            self.refused(entrant.name)
            return Verdict.REFUSED
        if not self.waiting:
            self._begin_period(now)
            self._looked_at = now
        insort(line.waiting, entrant, key=lambda each: each.deadline)
        return Verdict.WAITS

    def tick(self, now: float, lag: float) -> tuple[list[Entrant], list[Entrant]]:
        """Return the waiting reads that begin now, and those that are refused now.

        Call it often while reads wait. `lag`: how much later than planned this call comes, in seconds.
        """
        # A single late turn is weak evidence.
        self._advance(now, min(lag, self._lag_before))
        self._lag_before = lag
        refused = list(self._too_late(now))
        begun = []
        for line in (self._connection_tests, self._scrapes):
            while line.waiting and line.debt < _BURST_SECONDS:
                entrant = line.waiting.pop(0)
                if now > entrant.share(_WAITING_SHARE):  # the last check of the queue could not foresee this
                    self.refused(entrant.name)
                    refused.append(entrant)
                    continue
                begun.append(entrant)
                self._begin(entrant)
        if now - self._period_began >= _PERIOD_SECONDS:
            rate = self._begun_in_period / (now - self._period_began)
            self._speed = max(_MIN_SPEED, self._speed + _WEIGHT * (rate - self._speed))
            self._begin_period(now)
        return begun, refused

    def leave(self, entrant: Entrant) -> None:
        """Remove a read that no longer waits, for whatever reason."""
        line, _ = self._line_of(entrant)
        if entrant in line.waiting:
            line.waiting.remove(entrant)

    def learn(self, name: str, snapshot: Snapshot) -> None:
        """Record what a read was like, to estimate the cost of this namespace's next one."""
        cost = cost_of(snapshot)
        self._usual_cost += 0.05 * (cost - self._usual_cost)
        if name:
            known = self._note(name, was_refused=False)
            # A failed read is weak evidence of the cost of the next one.
            known.cost = max(cost, known.cost / 2)

    def _line_of(self, entrant: Entrant) -> tuple[_Line, float]:
        if entrant.name:
            return self._scrapes, self._speed
        return self._connection_tests, self._speed * _CONNECTION_TEST_SHARE

    def _advance(self, now: float, lag: float) -> None:
        """Reduce the debts by the time that has passed."""
        elapsed = max(0.0, now - self._at)
        self._at = now
        if lag > _LATE_SECONDS:
            pace = _MIN_SPEED
        else:
            pace = self._speed * (_HEADROOM if lag > _LATE_SECONDS / 3 else _HEADROOM_AT_EASE)
        done = elapsed * pace
        self._scrapes.debt = max(0.0, self._scrapes.debt - done)
        self._connection_tests.debt = max(0.0, self._connection_tests.debt - done * _CONNECTION_TEST_SHARE)
        if not self.waiting:
            self._speed += (1.0 - self._speed) * -math.expm1(-elapsed / _FORGET_SECONDS)

    def _begin_period(self, now: float) -> None:
        self._period_began = now
        self._begun_in_period = 0.0

    def _begin(self, entrant: Entrant) -> None:
        self._begun_in_period += entrant.cost
        self._scrapes.debt += entrant.cost
        if entrant.name:
            self._note(entrant.name, was_refused=False)
        else:
            self._connection_tests.debt += entrant.cost

    def _note(self, name: str, *, was_refused: bool) -> _Known:
        known = self._known.setdefault(name, _Known(self._usual_cost))
        known.was_refused = was_refused
        self._known.move_to_end(name)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return known

    def _too_late(self, now: float) -> Iterator[Entrant]:
        """Remove the reads that would begin too late from the queues, and yield them."""
        if now - self._looked_at < _PERIOD_SECONDS / 2:
            return
        self._looked_at = now
        for line, share in ((self._connection_tests, _CONNECTION_TEST_SHARE), (self._scrapes, 1.0)):
            begins_at = now + max(0.0, line.debt - _BURST_SECONDS) / (self._speed * share)
            kept = []
            for entrant in line.waiting:
                if begins_at > entrant.share(_WAITING_SHARE):
                    self.refused(entrant.name)
                    yield entrant
                else:
                    kept.append(entrant)
                    begins_at += entrant.cost / (self._speed * share)
            line.waiting = kept
