"""The I/O loop of a process: one asyncio loop in a daemon thread, for synchronous callers."""

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import uvloop

from . import tracebacks

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Threads for blocking network calls to the shared state; each read makes one at a time. asyncio's default is the number
# of cores plus four: with a Redis 20 ms away, so few threads delay all reads of a process.
_CALLS_ASIDE = 64


class IoLoop:
    """Starts with the first call, and again after a fork, because threads do not survive a fork."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run the coroutine and return its result; after `timeout` seconds, cancel it and raise TimeoutError."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._running())
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()  # has no effect if the coroutine itself raised TimeoutError
            raise TimeoutError from None

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run the coroutine in the background. It handles its own exceptions."""
        asyncio.run_coroutine_threadsafe(coroutine, self._running())

    @staticmethod
    def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log without the exception's message, which asyncio would log: it can contain a part of a response."""
        error = context.get("exception")
        if isinstance(error, OSError):  # including ssl.SSLError: caused by the peer
            logger.debug("The I/O loop: %s", type(error).__name__)
        elif error is not None:
            logger.error("A task or callback of the I/O loop failed: %s", tracebacks.frames(error))
        else:
            logger.warning("The I/O loop: %s", context.get("message"))

    def is_running(self) -> bool:
        """Return whether this process has started the loop."""
        return self._loop is not None

    def stop(self) -> None:
        """End the loop; the next call starts a new one."""
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is not None:
                loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        loop = self._loop
        if loop is not None:
            return loop
        with self._lock:
            if self._loop is None:
                loop = uvloop.new_event_loop()
                threading.Thread(target=self._serve, args=(loop,), name="upstream", daemon=True).start()
                self._loop = loop
            return self._loop

    @classmethod
    def _serve(cls, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.set_default_executor(ThreadPoolExecutor(_CALLS_ASIDE, thread_name_prefix="aside"))
        loop.set_exception_handler(cls._unhandled)
        try:
            loop.run_forever()
        finally:
            loop.close()
