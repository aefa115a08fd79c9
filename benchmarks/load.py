"""A load generator: `python -m benchmarks.load URL CONNECTIONS SECONDS METHOD PATH [CONTENT_TYPE BODY]`.

Each connection sends its next request when the last one is answered. `#` in a body becomes a number that is
different each time, so that every write changes something. Prints how many answers arrived in how many seconds, as
JSON; any that is not a success is an error.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

PATIENCE = 20
"""How many times the asked time each connection may take for its first answer."""


def requests(method: str, path: str, content_type: str = "", body: str = "") -> Iterator[bytes]:
    """The bytes of one request after another."""
    for number in itertools.count():
        data = body.replace("#", str(number)).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\n"
        if data:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(data)}\r\n"
        yield head.encode() + b"\r\n" + data


class Connection(asyncio.Protocol):
    """One request at a time; understands bodies with a length and chunked ones."""

    answers = 0

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._head = b""
        self._missing = 0  # bytes of a body with a length; -1 while a chunked one arrives

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(next(self._source))

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._begin(head)
        if self._missing > 0:
            self._missing -= len(data)
        elif data.endswith(b"0\r\n\r\n"):
            self._missing = 0
        if not self._missing:
            Connection.answers += 1
            self._transport.write(next(self._source))

    def _begin(self, head: bytes) -> None:
        self._head = b""
        if not head.startswith(b"HTTP/1.1 2"):
            raise SystemExit(head.decode())
        _, found, length = head.lower().partition(b"content-length: ")
        self._missing = int(length.split(b"\r")[0]) if found else -1


async def main(url: str, connections: int, seconds: float, *request: str) -> tuple[int, float]:
    where, source = urlsplit(url), requests(*request)
    loop = asyncio.get_running_loop()
    assert where.hostname is not None
    assert where.port is not None
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(source), where.hostname, where.port)
    start = loop.time()
    await asyncio.sleep(seconds)
    for _ in range(PATIENCE):  # slow answers finish together: one each is the least that says anything
        if Connection.answers >= connections:
            break
        await asyncio.sleep(seconds)
    return Connection.answers, loop.time() - start


if __name__ == "__main__":
    address, connections, seconds, *request = sys.argv[1:]
    print(json.dumps(asyncio.run(main(address, int(connections), float(seconds), *request))))
