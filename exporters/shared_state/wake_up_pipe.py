"""The reading end of a pipe that notifies a process when leases end."""

import os
from contextlib import suppress


class WakeUpPipe:
    """Holds one line per key. Lines are shorter than PIPE_BUF, so those of several writers don't mix."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor` must be non-blocking. It is closed with the pipe."""
        self._descriptor = descriptor
        self._rest = b""

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> list[str]:
        """See Listener."""
        with suppress(BlockingIOError):
            while found := os.read(self._descriptor, 65_536):
                self._rest += found
        *lines, self._rest = self._rest.split(b"\n")
        return [line.decode("ascii", "replace") for line in lines]

    def close(self) -> None:
        os.close(self._descriptor)


def wake_up_line(key: str) -> bytes:
    """Return the line to write into a pipe when the lease of this key has ended."""
    return f"{key}\n".encode("ascii")
