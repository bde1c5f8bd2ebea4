"""The I/O loop of a process."""

import asyncio
import os
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


def test_a_forked_process_starts_a_loop_of_its_own() -> None:
    async def process() -> int:
        return os.getpid()

    io = IoLoop()
    try:
        assert io.run(process(), 10) == os.getpid()
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if not io.is_running() and io.run(process(), 10) == os.getpid() else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert io.run(process(), 10) == os.getpid()
    finally:
        io.stop()
