"""A simulated process that reads on a virtual clock: its CPU, the lag of its loop, and how its reads end."""

from collections.abc import Callable
from dataclasses import dataclass, field

from exporters.scraping.admission_queue import AdmissionQueue, Entrant, Verdict

STEP = 0.02
# Turns of the loop that a read takes: parts of this many reads come before its next part.
TURNS = 20


@dataclass(eq=False)
class Read:
    entrant: Entrant
    cost: float  # seconds of CPU
    latency: float  # seconds until it can use the CPU; infinite if it hangs
    begun_at: float = -1.0
    refused_at: float = -1.0
    ended_at: float = -1.0
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.cost

    @property
    def in_time(self) -> bool:
        return 0 <= self.ended_at <= self.entrant.deadline


class Process:
    """Runs the reads that its queue lets begin; cores(now) is the CPU available to it, in cores."""

    def __init__(self, cores: Callable[[float], float] = lambda now: 1.0) -> None:
        self.now = 1000.0
        self.began = self.now
        self.queue = AdmissionQueue(self.now)
        self.reads: list[Read] = []
        self._cores = cores
        self._under_way: list[Read] = []
        self._waiting: dict[Entrant, Read] = {}
        self._ticked_at = self.now
        self._ready = 0.0  # seconds of CPU time for which work is ready

    @property
    def elapsed(self) -> float:
        return self.now - self.began

    def lag(self) -> float:
        return self._ready / TURNS / max(self._cores(self.elapsed), 1e-9)

    def come(self, name: str, *, cost: float = 0.01, latency: float = 0.05, allowed: float = 9.5) -> Read:
        """Let a read arrive now."""
        read = Read(Entrant(name, self.now, self.now + allowed), cost, latency)
        self.reads.append(read)
        match self.queue.arrive(read.entrant, self.now, self.lag()):
            case Verdict.BEGINS:
                self._begin(read)
            case Verdict.REFUSED:
                read.refused_at = self.now
            case Verdict.WAITS:
                self._waiting[read.entrant] = read
        return read

    def step(self) -> None:
        """Advance the clock by 20 ms."""
        self.now += STEP
        power = STEP * self._cores(self.elapsed)
        ready = [read for read in self._under_way if self._is_ready(read)]
        for read in ready:
            read.left -= min(read.left, power / len(ready))
            if read.left <= 1e-9:
                read.ended_at = self.now
        self._under_way = [
            read for read in self._under_way if read.ended_at < 0 and self.now < read.entrant.deadline
        ]
        self._ready = sum(read.left for read in ready if read.ended_at < 0)
        # The loop's next turn comes only after everything that is ready has had its turn.
        if self.now - self._ticked_at < self.lag() or not self.queue.waiting:
            return
        late = max(0.0, self.now - self._ticked_at - STEP)
        self._ticked_at = self.now
        begun, refused = self.queue.tick(self.now, max(late, self.lag()))
        for entrant in begun:
            self._begin(self._waiting.pop(entrant))
        for entrant in refused:
            self._waiting.pop(entrant).refused_at = self.now

    def run(self, seconds: float, rate: float = 0.0, namespaces: int = 200, **read: float) -> list[Read]:
        """Advance by `seconds` seconds in which `rate` reads arrive per second; return the reads that arrived."""
        first = len(self.reads)
        due = 0.0
        end = self.now + seconds
        while self.now < end - STEP / 2:
            due += rate * STEP
            while due >= 1:
                due -= 1
                self.come(f"namespace-{len(self.reads) % namespaces}", **read)
            self.step()
        return self.reads[first:]

    def _begin(self, read: Read) -> None:
        read.begun_at = self.now
        self._under_way.append(read)

    def _is_ready(self, read: Read) -> bool:
        return self.now >= read.begun_at + read.latency
