"""A client's connection after its upgrade: bytes both ways, with back-pressure both ways.

The server's protocol class feeds it what arrives and pauses the socket while nobody reads; a sender waits while the
socket is full. So a session holds a bounded number of bytes, whatever the client or the process behind it does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

HIGH_WATER = 256 * 1024
"""Bytes that may wait for a reader before the socket is no longer read."""
HEARTBEAT_SECONDS = 5.0
"""How often a client whose input has to wait is shown that somebody is there, as kubectl does it the other way."""


class Wire(Protocol):
    """The socket below, as asyncio's transports are."""

    def write(self, data: bytes) -> None: ...
    def is_closing(self) -> bool: ...
    def close(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Upgradable(Protocol):
    """The server's side of a request for an upgrade."""

    def upgrade(self, head: bytes) -> Upgraded:
        """Answers with `head`; the connection is the caller's from then on."""
        ...


class Upgraded(ByteStream):
    """One connection. `drain` returns when the wire takes more.

    The client's going is an end of stream to `receive` and a BrokenResourceError to `send`.
    """

    def __init__(self, wire: Wire, drain: Callable[[], Awaitable[None]]) -> None:
        self._wire, self._drain = wire, drain
        self._waiting = bytearray()
        self._ended = self._paused = False
        self._news = anyio.Event()
        self._idle: tuple[anyio.CancelScope, float] | None = None

    def watch_idleness(self, scope: anyio.CancelScope, seconds: float) -> None:
        """Cancels `scope` once nothing has gone over the wire, either way, for so long."""
        self._idle = (scope, seconds)
        scope.deadline = anyio.current_time() + seconds

    def _stir(self) -> None:
        if self._idle is not None:
            scope, seconds = self._idle
            if scope.deadline - anyio.current_time() < seconds * 0.9:  # a new deadline costs more than this question
                scope.deadline = anyio.current_time() + seconds

    async def keep_up(self, heartbeat: bytes, scope: anyio.CancelScope) -> None:
        """Cancels `scope` when the client has gone and nobody comes to read that.

        A socket that is not read does not tell of its end, and a client whose pings wait behind its own input takes
        the server for dead. So a heartbeat is sent from time to time: it comforts the one and finds out the other.
        """
        gone = False
        while True:
            with anyio.move_on_after(HEARTBEAT_SECONDS):
                await anyio.sleep_forever()
            if gone:
                scope.cancel()
                return
            gone = self._ended
            if self._paused:
                await self.answer(heartbeat)

    def feed(self, data: bytes) -> None:
        """Takes what the socket received."""
        self._waiting += data
        self._stir()
        if len(self._waiting) > HIGH_WATER and not self._paused:
            self._paused = True
            self._wire.pause_reading()
        self._news.set()

    def feed_eof(self) -> None:
        """The client has gone, or is to be gone."""
        self._ended = True
        self._news.set()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while not self._waiting:
            if self._ended:
                raise anyio.EndOfStream
            self._news = anyio.Event()
            await self._news.wait()
        data = bytes(self._waiting[:max_bytes])
        del self._waiting[:max_bytes]
        if self._paused and not self._waiting:
            self._paused = False
            if not self._wire.is_closing():
                self._wire.resume_reading()
        return data

    async def send(self, item: bytes) -> None:
        if self._ended or self._wire.is_closing():
            await checkpoint()
            raise anyio.BrokenResourceError
        self._wire.write(item)
        self._stir()
        await self._drain()

    async def answer(self, data: bytes) -> None:
        """Sends what a protocol wants to be answered, if that is anything and anybody is there."""
        if data and not self._ended and not self._wire.is_closing():
            await self.send(data)

    async def send_eof(self) -> None:
        """A socket that may be encrypted cannot be closed on one side only; the protocols above have ends of their
        own."""

    async def aclose(self) -> None:
        self.feed_eof()
        self._wire.close()
