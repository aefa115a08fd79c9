"""Watchers: `python -m benchmarks.watchers URL COUNT` holds that many watches of ConfigMaps and counts what arrives.

Prints a line when all of them are answered, ends with its standard input, and then prints how many events came.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from urllib.parse import urlsplit

REQUEST = b"GET /api/v1/namespaces/default/configmaps?watch=1&resourceVersion=%d HTTP/1.1\r\nHost: bench\r\n\r\n"
QUIET_SECONDS = 0.5


class Watcher(asyncio.Protocol):
    events = 0

    def __init__(self, answered: asyncio.Future[None]) -> None:
        self._answered = answered

    def data_received(self, data: bytes) -> None:
        if not self._answered.done():
            self._answered.set_result(None)
        Watcher.events += data.count(b'{"type":')


async def main(url: str, count: int, revision: int) -> None:
    where, loop = urlsplit(url), asyncio.get_running_loop()
    assert where.hostname is not None
    assert where.port is not None
    for _ in range(count):
        answered: asyncio.Future[None] = loop.create_future()
        transport, _ = await loop.create_connection(partial(Watcher, answered), where.hostname, where.port)
        transport.write(REQUEST % revision)
        await answered
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    seen = -1
    while seen != Watcher.events:
        seen = Watcher.events
        await asyncio.sleep(QUIET_SECONDS)
    print(seen)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
