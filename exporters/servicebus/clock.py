"""The clock for durations and ages: it runs evenly, even if the date is changed.

All processes of a machine read the same clock, so they may compare its values. It starts over when the machine boots:
`boot_id` distinguishes the values of one boot from those of another.
"""

import time
from functools import lru_cache
from pathlib import Path

# Unlike CLOCK_MONOTONIC, it keeps running while the machine is suspended, so earlier results age in that time.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Return the seconds since some moment in the past."""
    return time.clock_gettime(_CLOCK)


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Return the ID of this boot of the machine; "unknown" if the system has none (only Linux has)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
