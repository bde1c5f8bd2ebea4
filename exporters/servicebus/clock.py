"""The clock for durations and ages: it goes on evenly, whatever happens to the date.

All processes of a machine read the same clock, so they may compare its values. It starts over with the machine:
`boot_id` tells the values of one start from those of another.
"""

import time
from functools import lru_cache
from pathlib import Path

# Unlike CLOCK_MONOTONIC it goes on while the machine is suspended, and what was read before that gets older.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Return seconds since some moment in the past."""
    return time.clock_gettime(_CLOCK)


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Return what names this start of the machine; "unknown" where the system doesn't say (only Linux does)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
