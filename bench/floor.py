"""The lower bound for a scrape: fetch the same pages at the same concurrency and discard them.

`python -m bench.floor CA_FILE CONCURRENCY AUTHORIZATION URL_FILE`: for each line on standard input, fetches every URL
in the file once and writes one line of JSON with wall and CPU seconds.
"""

import asyncio
import json
import ssl
import sys
import time
from collections import deque
from pathlib import Path

import aiohttp
import uvloop
from yarl import URL


async def fetch_all(
    session: aiohttp.ClientSession, urls: list[URL], headers: dict[str, str], concurrency: int
) -> None:
    waiting = deque(urls)

    async def work() -> None:
        while waiting:
            async with session.get(waiting.popleft(), headers=headers) as response:
                response.raise_for_status()
                await response.read()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(urls))):
            group.create_task(work())


async def main(ca_file: str, concurrency: int, authorization: str, urls: list[URL]) -> None:
    context = ssl.create_default_context(cafile=ca_file)
    connector = aiohttp.TCPConnector(ssl=context, limit=0, keepalive_timeout=120)
    headers = {"Authorization": authorization}
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(connector=connector) as session:
        while await loop.run_in_executor(None, sys.stdin.readline):
            wall, cpu = time.perf_counter(), time.process_time()
            await fetch_all(session, urls, headers, concurrency)
            print(
                json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), flush=True
            )


if __name__ == "__main__":
    _ca_file, _concurrency, _authorization, _url_file = sys.argv[1:]
    _urls = [URL(line, encoded=True) for line in Path(_url_file).read_text().split()]
    uvloop.run(main(_ca_file, int(_concurrency), _authorization, _urls))
