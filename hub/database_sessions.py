"""Sessions of PostgreSQL that end when the server says nothing for too long.

libpq waits for an answer without an end: where a server hangs, or a proxy on the way has forgotten a session, TCP goes
on well, and no keepalive ends it. Every thread that asks would then wait for good, also when new sessions work.
"""

import math
import time
from collections.abc import Generator
from typing import Any, ClassVar

import psycopg


class Session(psycopg.Connection[Any]):
    """A session that is closed, with an OperationalError, after `patience` seconds of silence in a statement."""

    # Commands such as migrations may wait for as long as they like; hub/gunicorn.py sets it for worker processes.
    patience: ClassVar[float] = math.inf

    def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        """Wait as psycopg does, but not for ever."""
        return super().wait(self._patiently(gen), *arguments, **options)

    def _patiently(self, gen: Any) -> Generator[Any, Any, Any]:
        try:
            wanted = next(gen)
            heard_at = time.monotonic()
            while True:
                ready = yield wanted
                now = time.monotonic()
                if ready:
                    heard_at = now
                elif now - heard_at > self.patience:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server said nothing for {self.patience:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
