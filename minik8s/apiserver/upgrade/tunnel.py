"""A byte stream inside WebSocket messages: how newer clients carry SPDY through proxies that know no SPDY."""

from __future__ import annotations

import anyio
from anyio.abc import ByteStream

from minik8s.apiserver.upgrade.stream import Upgraded
from minik8s.apiserver.upgrade.websocket import NORMAL, UNSUPPORTED_DATA, Closed, WebSocket


class Tunnel(ByteStream):
    """Messages are binary; where they begin and end means nothing, and a close is the end."""

    def __init__(self, stream: Upgraded) -> None:
        self._stream = stream
        self._socket = WebSocket()
        self._pieces: list[bytes] = []

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while not self._pieces:
            if self._socket.over:
                raise anyio.EndOfStream
            for event in self._socket.receive(await self._stream.receive(max_bytes)):
                if isinstance(event, Closed):
                    break
                if isinstance(event.data, str):
                    await self._stream.answer(self._socket.close(UNSUPPORTED_DATA, "only binary messages are sent"))
                    raise anyio.EndOfStream
                if event.data:
                    self._pieces.append(event.data)
            await self._stream.answer(self._socket.outgoing())
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data

    async def send(self, item: bytes) -> None:
        await self._stream.send(self._socket.send(item))

    async def send_eof(self) -> None:
        await self._stream.send(self._socket.close(NORMAL))

    async def aclose(self) -> None:
        await self._stream.aclose()
