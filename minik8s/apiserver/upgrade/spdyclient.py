"""A client of exec or attach behind SPDY/3.1: a stream each for stdin, stdout, stderr, the error and window sizes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Iterator

import anyio

from minik8s.apiserver.upgrade.commandstatus import as_text
from minik8s.apiserver.upgrade.inputs import Input, Sizes, Stdin, StdinEnded
from minik8s.apiserver.upgrade.spdy import (
    INTERNAL,
    Event,
    Failed,
    Spdy,
    StreamData,
    StreamEnded,
    StreamOpened,
    StreamReset,
    WentAway,
)
from minik8s.apiserver.upgrade.stream import Upgraded
from minik8s.machinery.meta import Obj

CREATION_SECONDS = 30.0
"""How long the client may take to open its streams (upstream's StreamCreationTimeout)."""
WITH_STATUS = frozenset({"v4.channel.k8s.io", "v5.channel.k8s.io"})
MAX_EARLY = 1 << 16
"""Bytes of input that may come before the last stream has been opened."""


class SpdyClient:
    """`wanted` names the streams that have to be open before the conversation begins."""

    def __init__(self, stream: Upgraded, protocol: str, wanted: Collection[str]) -> None:
        self._stream = stream
        self._spdy = Spdy()
        self._json = protocol in WITH_STATUS
        self._wanted = wanted
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._early: list[Event] = []
        self._sizes = Sizes()

    async def begin(self) -> bool:
        size = 0
        with anyio.move_on_after(CREATION_SECONDS):
            async for data in self._stream:
                size += len(data)
                self._early += self._take(data)
                await self._stream.answer(self._spdy.outgoing())
                if not set(self._wanted) - set(self._numbers):
                    return True
                if size > MAX_EARLY or any(isinstance(event, Failed | WentAway) for event in self._early):
                    return False
        return False

    def _take(self, data: bytes) -> Iterator[Event]:
        """The events of `data` but for streams that are opened: those are answered."""
        for event in self._spdy.receive(data):
            if isinstance(event, StreamOpened):
                self._open(event)
            else:
                yield event

    def _open(self, event: StreamOpened) -> None:
        name = event.headers.get("streamtype", "")
        if name not in self._wanted or name in self._numbers:
            self._spdy.queue(self._spdy.reset(event.stream, INTERNAL))
            return
        self._numbers[name], self._names[event.stream] = event.stream, name
        self._spdy.queue(self._spdy.reply(event.stream))

    async def inputs(self) -> AsyncIterator[Input]:
        early, self._early = self._early, []
        for event in early:
            for said in self._said(event):
                yield said
        async for data in self._stream:
            for event in self._take(data):
                for said in self._said(event):
                    yield said
                if isinstance(event, Failed | WentAway):
                    await self._stream.answer(self._spdy.outgoing())
                    return
            await self._stream.answer(self._spdy.outgoing())

    def _said(self, event: Event) -> Iterator[Input]:
        match event:
            case StreamData(stream=stream) if self._names.get(stream) == "stdin":
                yield Stdin(event.data)
            case StreamData(stream=stream) if self._names.get(stream) == "resize":
                yield from self._sizes.feed(event.data)
            case StreamEnded(stream=stream) | StreamReset(stream=stream) if self._names.get(stream) == "stdin":
                yield StdinEnded()

    async def stdout(self, data: bytes) -> None:
        await self._send("stdout", data)

    async def stderr(self, data: bytes) -> None:
        await self._send("stderr", data)

    async def _send(self, name: str, data: bytes, *, fin: bool = False) -> None:
        if frame := self._spdy.send(self._numbers[name], data, fin=fin):
            await self._stream.send(frame)

    async def finish(self, status: Obj) -> None:
        for name in ("stdout", "stderr"):
            if name in self._numbers:
                await self._send(name, b"", fin=True)
        last = json.dumps(status, separators=(",", ":")) if self._json else as_text(status)
        await self._send("error", last.encode(), fin=True)
