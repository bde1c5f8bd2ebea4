"""The I/O loop of a process."""

import asyncio
import threading

from exporters.servicebus.loop import IoLoop


def test_calls_that_wait_for_a_network_do_not_wait_for_each_other() -> None:
    together = threading.Barrier(50, timeout=10)

    async def reads() -> None:
        await asyncio.gather(*(asyncio.to_thread(together.wait) for _ in range(together.parties)))

    io = IoLoop()
    try:
        io.run(reads(), 20)
    finally:
        io.stop()
