"""A client of exec or attach behind a WebSocket with channels."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from minik8s.apiserver.upgrade.channels import ChannelData, ChannelEnded, Channels
from minik8s.apiserver.upgrade.commandstatus import as_text
from minik8s.apiserver.upgrade.handshake import SUBPROTOCOLS
from minik8s.apiserver.upgrade.inputs import Input, Sizes, Stdin, StdinEnded
from minik8s.apiserver.upgrade.stream import Upgraded
from minik8s.apiserver.upgrade.websocket import NORMAL
from minik8s.machinery.meta import Obj

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)


class WebSocketClient:
    """Its channels: 0 stdin, 1 stdout, 2 stderr, 3 the Status at the end, 4 the window's size."""

    def __init__(self, stream: Upgraded, protocol: str) -> None:
        self._stream = stream
        self._protocol = SUBPROTOCOLS[protocol]
        self._channels = Channels(self._protocol)
        self._sizes = Sizes()

    async def begin(self) -> bool:
        return True

    async def inputs(self) -> AsyncIterator[Input]:
        async for data in self._stream:
            for event in self._channels.receive(data):
                match event:
                    case ChannelData(channel=0):
                        yield Stdin(event.data)
                    case ChannelData(channel=4):
                        for size in self._sizes.feed(event.data):
                            yield size
                    case ChannelEnded(channel=0):
                        yield StdinEnded()
                    case ChannelData() | ChannelEnded():
                        continue  # a channel that is not the client's to write to
                    case _:
                        await self._stream.answer(self._channels.close(event.code, event.reason))
                        return
            await self._stream.answer(self._channels.outgoing())

    async def stdout(self, data: bytes) -> None:
        await self._stream.send(self._channels.send(STDOUT, data))

    async def stderr(self, data: bytes) -> None:
        await self._stream.send(self._channels.send(STDERR, data))

    async def finish(self, status: Obj) -> None:
        last = json.dumps(status, separators=(",", ":")) if self._protocol.status == "json" else as_text(status)
        message = self._channels.send(ERROR, last.encode()) if last else b""
        await self._stream.send(message + self._channels.close(NORMAL))
