"""A system date that tests set for individual programs, without changing the machine's own date."""

import struct
import subprocess
from pathlib import Path

from .programs import require

_SOURCE = Path(__file__).with_name("stepped_clock.c")


class SteppedClock:
    """The date seen by programs started with `variables`; processes with the same clock share it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ahead"
        library = folder / "stepped_clock.so"
        command = [require("cc"), "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE)]
        subprocess.run(command, check=True, timeout=60)
        self.set_ahead(0)
        self.variables = {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(self._file)}

    def set_ahead(self, seconds: int) -> None:
        """Set the date `seconds` seconds ahead of the machine's, or behind it if negative."""
        with open(self._file, "r+b" if self._file.exists() else "xb") as file:
            file.write(struct.pack("=q", seconds))
