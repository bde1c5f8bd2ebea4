"""PostgreSQL sessions that end if the server is silent for too long.

libpq waits for an answer without a limit. If a server hangs, or a proxy has lost a session, TCP stays healthy and no
keepalive ends it. Every thread with a query would then wait forever, even if new sessions work.
"""

import math
import time
from collections.abc import Generator
from typing import Any, ClassVar

import psycopg


class Session(psycopg.Connection[Any]):
    """A session that closes, with an OperationalError, after `patience` seconds of silence during a statement."""

    # Commands such as migrations may wait without a limit; hub/gunicorn.py sets it for worker processes.
    patience: ClassVar[float] = math.inf

    def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        """Wait as psycopg does, but not forever."""
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
                    raise psycopg.OperationalError(f"the server has not responded for {self.patience:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
