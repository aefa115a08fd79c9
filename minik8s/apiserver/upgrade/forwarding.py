"""port-forward: carries bytes between a client's streams and connections to a pod's ports.

Connections of one client share its socket. What one of them does not take yet waits in its `Inbox`; when that is full
the whole socket is no longer read, as upstream does it, so a connection holds a bounded number of bytes whatever
happens at either end. A client that goes takes all its connections along.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import anyio
import attrs
from anyio.abc import ByteStream, TaskGroup

from minik8s.apiserver.upgrade.channels import ChannelData, ChannelEnded, Channels
from minik8s.apiserver.upgrade.handshake import SPDY_TUNNEL, SUBPROTOCOLS, Agreement
from minik8s.apiserver.upgrade.portforward import Pair, Pairing, Unpaired, preamble
from minik8s.apiserver.upgrade.spdy import (
    INTERNAL,
    Failed,
    Spdy,
    StreamData,
    StreamEnded,
    StreamOpened,
    StreamReset,
    WentAway,
)
from minik8s.apiserver.upgrade.stream import Upgraded
from minik8s.apiserver.upgrade.tunnel import Tunnel
from minik8s.apiserver.upgrade.websocket import NORMAL, Closed

IDLE_SECONDS = 4 * 3600.0
"""The kubelet's streamingConnectionIdleTimeout."""
MAX_WAITING = 256 * 1024
"""Bytes from the client that may wait for one connection to take them."""

Dial = Callable[[int], Awaitable[ByteStream]]
"""Connects to a port of the pod. Raises OSError."""
Send = Callable[[bytes], Awaitable[None]]


@attrs.frozen
class Target:
    """Where connections go; `name` is how messages call the pod."""

    name: str
    dial: Dial


class Inbox:
    """Bytes on their way from the client to one connection."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._ended = self._closed = False
        self._changed = anyio.Event()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def put(self, data: bytes) -> None:
        """Returns once there is room again. What comes after `close` is for nobody."""
        if self._closed:
            return
        self._waiting.append(data)
        self._size += len(data)
        self._change()
        while self._size > MAX_WAITING and not self._closed:
            await self._changed.wait()

    def end(self) -> None:
        """The client sends nothing more."""
        self._ended = True
        self._change()

    def close(self) -> None:
        """Nobody takes anything more."""
        self._closed = True
        self._waiting.clear()
        self._change()

    async def get(self) -> bytes:
        """The next bytes, b"" at the end."""
        while not self._waiting:
            if self._ended or self._closed:
                return b""
            await self._changed.wait()
        data = self._waiting.popleft()
        self._size -= len(data)
        self._change()
        return data


async def converse(agreement: Agreement, target: Target, ports: Sequence[int], stream: Upgraded) -> None:
    """Forwards for as long as the client stays. `ports` are those of the query, for the protocols that need them."""
    async with anyio.create_task_group() as group:
        stream.watch_idleness(group.cancel_scope, IDLE_SECONDS)
        group.start_soon(stream.keep_up, agreement.heartbeat, group.cancel_scope)
        if agreement.transport == "spdy":
            await SpdyForwarder(stream, target).run()
        elif agreement.protocol == SPDY_TUNNEL:
            await SpdyForwarder(Tunnel(stream), target).run()
        else:
            await ChannelForwarder(stream, agreement.protocol, target, ports).run()
        group.cancel_scope.cancel()


async def forward(target: Target, port: int, inbox: Inbox, send: Send, end: Callable[[], Awaitable[None]]) -> str:
    """One connection to the pod, until both sides have ended; "" or why there was none.

    `send` and `end` lead to the client; both may wait.
    """
    try:
        connection = await target.dial(port)
    except OSError as error:
        return f"error forwarding port {port} to pod {target.name}: {error}"
    async with connection, anyio.create_task_group() as group:
        group.start_soon(_upload, inbox, connection)
        try:
            async for data in connection:
                await send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            inbox.close()
        await end()
    return ""


async def _upload(inbox: Inbox, connection: ByteStream) -> None:
    try:
        while data := await inbox.get():
            await connection.send(data)
        await connection.send_eof()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        inbox.close()


class SpdyForwarder:
    """A client that opens a pair of streams for each connection."""

    def __init__(self, stream: ByteStream, target: Target) -> None:
        self._stream, self._target = stream, target
        self._spdy = Spdy()
        self._pairing = Pairing()
        self._inboxes: dict[int, Inbox] = {}
        self._scopes: dict[int, anyio.CancelScope] = {}

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            async for data in self._stream:
                for event in self._spdy.receive(data):
                    match event:
                        case StreamOpened():
                            self._open(event, group)
                        case StreamData():
                            if (inbox := self._inboxes.get(event.stream)) is not None:
                                await self._answer()
                                await inbox.put(event.data)
                        case StreamEnded():
                            if (inbox := self._inboxes.get(event.stream)) is not None:
                                inbox.end()
                        case StreamReset():
                            self._reset(event.stream)
                        case Failed() | WentAway():
                            group.cancel_scope.cancel()
                await self._answer()
            group.cancel_scope.cancel()

    def _open(self, event: StreamOpened, group: TaskGroup) -> None:
        try:
            pair = self._pairing.opened(event.stream, event.headers)
        except Unpaired:
            self._spdy.queue(self._spdy.reset(event.stream, INTERNAL))
            return
        if event.headers.get("streamtype") == "data":
            self._inboxes[event.stream] = Inbox()
        self._spdy.queue(self._spdy.reply(event.stream))
        if pair is not None:
            group.start_soon(self._forward, pair)

    def _reset(self, stream: int) -> None:
        """The client wants nothing more of this connection."""
        self._pairing.ended(stream)
        if (inbox := self._inboxes.pop(stream, None)) is not None:
            inbox.close()
        if (scope := self._scopes.get(stream)) is not None:
            scope.cancel()

    async def _forward(self, pair: Pair) -> None:
        async def send(data: bytes) -> None:
            await self._send(self._spdy.send(pair.data, data))

        async def end() -> None:
            await self._send(self._spdy.send(pair.data, b"", fin=True))

        inbox = self._inboxes.setdefault(pair.data, Inbox())
        with anyio.CancelScope() as scope:
            self._scopes[pair.data] = scope
            failure = await forward(self._target, pair.port, inbox, send, end)
            await self._send(self._spdy.send(pair.error, failure.encode(), fin=True))
            await end()
        self._scopes.pop(pair.data, None)
        inbox.close()
        self._inboxes.pop(pair.data, None)

    async def _answer(self) -> None:
        await self._send(self._spdy.outgoing())

    async def _send(self, frames: bytes) -> None:
        if frames:
            try:
                await self._stream.send(frames)
            except anyio.BrokenResourceError:
                return  # the end of the stream says so too


class ChannelForwarder:
    """A client that has one connection to each of some ports, in two channels each."""

    def __init__(self, stream: Upgraded, protocol: str, target: Target, ports: Sequence[int]) -> None:
        self._stream, self._target, self._ports = stream, target, ports
        self._channels = Channels(SUBPROTOCOLS[protocol])
        self._inboxes = [Inbox() for _ in ports]

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen, group.cancel_scope)
            async with anyio.create_task_group() as connections:
                for index, port in enumerate(self._ports):
                    connections.start_soon(self._forward, index, port)
            await self._stream.answer(self._channels.close(NORMAL))
            group.cancel_scope.cancel()

    async def _listen(self, scope: anyio.CancelScope) -> None:
        async for data in self._stream:
            for event in self._channels.receive(data):
                match event:
                    case ChannelData() if event.channel % 2 == 0 and event.channel // 2 < len(self._ports):
                        await self._inboxes[event.channel // 2].put(event.data)
                    case ChannelEnded() if event.channel % 2 == 0 and event.channel // 2 < len(self._ports):
                        self._inboxes[event.channel // 2].end()
                    case Closed():
                        await self._stream.answer(self._channels.close(event.code, event.reason))
                        scope.cancel()
                        return
            await self._stream.answer(self._channels.outgoing())
        scope.cancel()

    async def _forward(self, index: int, port: int) -> None:
        data, error = 2 * index, 2 * index + 1

        async def send(payload: bytes) -> None:
            await self._stream.answer(self._channels.send(data, payload))

        async def end() -> None:
            # these protocols cannot end one channel: the pod's end is the connection's, as upstream has it
            self._inboxes[index].close()

        for channel in (data, error):
            await self._stream.answer(self._channels.send(channel, preamble(port)))
        if failure := await forward(self._target, port, self._inboxes[index], send, end):
            await self._stream.answer(self._channels.send(error, failure.encode()))
