"""Which reads a process may begin now, which have to wait, and which it can't finish in time.

A process with too many reads under way finishes none of them in time, so each read asks before it begins. It may begin
while two things hold:

- The I/O loop is not late. Its lateness tells how much work is ready and not done, whatever the reason: too many reads,
  other threads, other programs on the same cores. Reads that only wait for an endpoint or for their budget don't count.
- The debt is small. Each read that begins adds what it is expected to cost, and time takes it away. So no more begins
  at once than can be done when its answers come, which the loop's lateness shows only afterwards.

The others wait in a line, the earliest deadline first. How fast the line has lately moved tells when a read will have
its turn; one that would begin too late is refused: at once when it comes, or later when the line slows down.

Everything here is plain arithmetic on times that the caller brings.
"""

import math
from bisect import insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from ..servicebus.entities import Snapshot

# Above this lateness of the loop hardly a read begins. A read takes some 20 turns of the loop, each so late.
_LATE_SECONDS = 0.03
# Seconds of expected CPU that begin in a second however late the loop is: if it is late because of other threads or
# programs, holding reads back would not help.
_MIN_SPEED = 0.1
# CPU that may begin at once, in seconds.
_BURST_SECONDS = 0.2
# How much more than the line has lately moved may begin: room to find out that the process can do more.
_HEADROOM = 1.5
# The same while the loop is hardly late at all.
_HEADROOM_AT_EASE = 3.0
# Of its time, a read waits for so much at most: less than that is promised when it comes, so that the line may become
# slower without anybody being refused late. A namespace that was refused the last time is promised a longer wait, so
# that the same ones are not refused again and again.
_PROMISED_SHARE = 0.2
_PROMISED_SHARE_AFTER_REFUSAL = 0.3
_WAITING_SHARE = 0.5
# What trials (connection tests) may take of the process. They go before scrapes.
_TRIAL_SHARE = 0.2
# The line's speed is measured over such periods, and what one finds counts for so much.
_PERIOD_SECONDS = 0.5
_WEIGHT = 0.3
# How fast the speed goes back to 1 while nothing waits: it says nothing of the next line.
_FORGET_SECONDS = 10.0
# CPU of a read on kept connections, the answer to Prometheus included: measured by `make bench`. Only ratios between
# namespaces matter: what a machine makes of them is the line's speed.
_SECONDS_OF_A_READ = 0.003
_SECONDS_OF_A_REQUEST = 0.0003
_SECONDS_OF_AN_ENTITY = 0.00004
# Until something is known.
_UNKNOWN_SECONDS = 0.01
_KEPT = 20_000


def cost_of(snapshot: Snapshot) -> float:
    """Return the seconds of CPU that a read like this one is expected to take."""
    entities = len(snapshot.queues) + len(snapshot.topics) + len(snapshot.subscriptions)
    return _SECONDS_OF_A_READ + _SECONDS_OF_A_REQUEST * snapshot.requests + _SECONDS_OF_AN_ENTITY * entities


class Verdict(Enum):
    """What becomes of a read."""

    BEGINS = "begins"
    WAITS = "waits"
    REFUSED = "refused"


@dataclass(slots=True, eq=False)
class Entrant:
    """A read that asks whether it may begin."""

    name: str  # the namespace; empty for a trial
    came_at: float
    deadline: float
    cost: float = field(default=_UNKNOWN_SECONDS, init=False)

    def share(self, of_time: float) -> float:
        """Return when so large a share of its time is over."""
        return self.came_at + of_time * (self.deadline - self.came_at)


@dataclass(slots=True)
class _Known:
    cost: float
    was_refused: bool = False


class _Line:
    """Those that wait, and what those that began have left to do."""

    def __init__(self) -> None:
        self.waiting: list[Entrant] = []
        self.debt = 0.0  # seconds of CPU

    def seconds_before(self, entrant: Entrant, speed: float) -> float:
        """Return how long it takes until this one may begin."""
        before = sum(each.cost for each in self.waiting if each.deadline <= entrant.deadline)
        return (max(0.0, self.debt - _BURST_SECONDS) + before) / speed


class AdmissionQueue:
    """Of one process. Not safe for many threads."""

    def __init__(self, now: float) -> None:
        self._scrapes, self._trials = _Line(), _Line()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._usual_cost = _UNKNOWN_SECONDS
        self._at = now  # the debts are those of this moment
        self._speed = 1.0  # seconds of expected CPU that begin in a second, while reads wait
        self._period_began = now
        self._begun_in_period = 0.0
        self._looked_at = now
        self._lag_before = 0.0

    @property
    def waiting(self) -> int:
        """How many reads wait."""
        return len(self._scrapes.waiting) + len(self._trials.waiting)

    @property
    def speed(self) -> float:
        """Seconds of expected CPU that begin in a second while reads wait, as lately measured."""
        return self._speed

    def wait_seconds(self, now: float) -> float:
        """Return how long a scrape would wait that came now, with the latest deadline of all."""
        return self._scrapes.seconds_before(Entrant("all", now, math.inf), self._speed)

    def promised_share(self, name: str) -> float:
        """Return for how large a share of its time a scrape of this namespace may have to wait."""
        known = self._known.get(name)
        return _PROMISED_SHARE_AFTER_REFUSAL if known is not None and known.was_refused else _PROMISED_SHARE

    def refused(self, name: str) -> None:
        """Take note that a scrape of this namespace was refused."""
        if name:
            self._note(name, was_refused=True)

    def arrive(self, entrant: Entrant, now: float, lag: float) -> Verdict:
        """Decide about a read that comes; `lag`: how late the loop was when it took it up, in seconds."""
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

        To be called often while reads wait; `lag`: how much later than planned this call comes, in seconds.
        """
        # One late turn alone says little.
        self._advance(now, min(lag, self._lag_before))
        self._lag_before = lag
        refused = list(self._too_late(now))
        begun = []
        for line in (self._trials, self._scrapes):
            while line.waiting and line.debt < _BURST_SECONDS:
                entrant = line.waiting.pop(0)
                if now > entrant.share(_WAITING_SHARE):  # what the last look at the line could not foresee
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
        """Forget a read that waits no longer, for whatever reason."""
        line, _ = self._line_of(entrant)
        if entrant in line.waiting:
            line.waiting.remove(entrant)

    def learn(self, name: str, snapshot: Snapshot) -> None:
        """Take note of what a read was like, for what the next one of this namespace will cost."""
        cost = cost_of(snapshot)
        self._usual_cost += 0.05 * (cost - self._usual_cost)
        if name:
            known = self._note(name, was_refused=False)
            # A read that failed has shown little of what the next one may cost.
            known.cost = max(cost, known.cost / 2)

    def _line_of(self, entrant: Entrant) -> tuple[_Line, float]:
        if entrant.name:
            return self._scrapes, self._speed
        return self._trials, self._speed * _TRIAL_SHARE

    def _advance(self, now: float, lag: float) -> None:
        """Let time take its part of the debts."""
        elapsed = max(0.0, now - self._at)
        self._at = now
        if lag > _LATE_SECONDS:
            pace = _MIN_SPEED
        else:
            pace = self._speed * (_HEADROOM if lag > _LATE_SECONDS / 3 else _HEADROOM_AT_EASE)
        done = elapsed * pace
        self._scrapes.debt = max(0.0, self._scrapes.debt - done)
        self._trials.debt = max(0.0, self._trials.debt - done * _TRIAL_SHARE)
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
            self._trials.debt += entrant.cost

    def _note(self, name: str, *, was_refused: bool) -> _Known:
        known = self._known.setdefault(name, _Known(self._usual_cost))
        known.was_refused = was_refused
        self._known.move_to_end(name)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return known

    def _too_late(self, now: float) -> Iterator[Entrant]:
        """Take those out of the lines that would begin too late, and yield them."""
        if now - self._looked_at < _PERIOD_SECONDS / 2:
            return
        self._looked_at = now
        for line, share in ((self._trials, _TRIAL_SHARE), (self._scrapes, 1.0)):
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
