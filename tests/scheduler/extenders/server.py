"""A small extender: an HTTP server on the test's own loop that answers each verb as it has been told to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import orjson

Answer = Callable[[Any], Awaitable[Any]]
"""What is answered to the arguments: a document as JSON, bytes as they are, a number as a status code."""


@attrs.define
class ExtenderServer:
    """`url` is a urlPrefix; `asked` has the verbs and arguments so far."""

    answers: Mapping[str, Answer]
    url: str = ""
    asked: list[tuple[str, Any]] = attrs.field(factory=list)

    def questions(self, verb: str) -> list[Any]:
        return [args for each, args in self.asked if each == verb]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                length = 0
                while (header := await reader.readline()).strip():
                    name, _, value = header.decode().partition(":")
                    length = int(value) if name.lower() == "content-length" else length
                args = orjson.loads(await reader.readexactly(length))
                code, body = await self._answer(line.decode().split()[1].rpartition("/")[2], args)
                writer.write(f"HTTP/1.1 {code} Whatever\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, verb: str, args: Any) -> tuple[int, bytes]:
        self.asked.append((verb, args))
        if verb not in self.answers:
            return 404, b""
        found = await self.answers[verb](args)
        if isinstance(found, int):
            return found, b"sorry"
        return 200, found if isinstance(found, bytes) else orjson.dumps(found)


@asynccontextmanager
async def extender(*, tls: ssl.SSLContext | None = None, **answers: Answer) -> AsyncIterator[ExtenderServer]:
    """Serves on a free port of the loopback; the verbs have the names of the answers."""
    told = ExtenderServer(answers)
    open_: set[asyncio.StreamWriter] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        await told.handle(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    scheme, port = "https" if tls else "http", server.sockets[0].getsockname()[1]
    told.url = f"{scheme}://127.0.0.1:{port}/scheduler"
    try:
        yield told
    finally:
        server.close()
        for writer in open_:
            writer.transport.abort()
        await server.wait_closed()
