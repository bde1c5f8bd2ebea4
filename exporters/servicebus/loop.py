"""The one asyncio loop of a process, in a daemon thread, for synchronous callers."""

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


class IoLoop:
    """Started with the first call, and anew after a fork: threads do not survive one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run the coroutine on the loop and return its result; after `timeout` seconds cancel it and raise TimeoutError."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._running())
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError from None

    def is_running(self) -> bool:
        """Tell whether this process has started it."""
        return self._loop is not None and self._pid == os.getpid()

    def stop(self) -> None:
        """End the loop; the next call starts a new one."""
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is not None and self._pid == os.getpid():
                loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():
            self._lock = threading.Lock()  # the parent's may have been held at the fork
            self._loop = None
            self._pid = os.getpid()
        loop = self._loop
        if loop is not None:
            return loop
        with self._lock:
            if self._loop is None:
                loop = uvloop.new_event_loop()
                threading.Thread(target=self._serve, args=(loop,), name="upstream", daemon=True).start()
                self._loop = loop
            return self._loop

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()
