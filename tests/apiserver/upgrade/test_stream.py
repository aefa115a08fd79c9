"""An upgraded connection: nothing grows, silence ends it, and who has gone is found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from minik8s.apiserver.upgrade.stream import HEARTBEAT_SECONDS, HIGH_WATER, Upgraded
from minik8s.virtualtime import VirtualClock

Virtual = Callable[[Any], None]


class Wire:
    """A socket that remembers."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.reading = True
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def drained() -> None:
    """The wire always takes more."""


def test_nothing_grows(virtual: Virtual) -> None:
    """Beyond the mark the socket is not read until everything has been taken."""

    async def body(clock: VirtualClock) -> None:
        wire = Wire()
        stream = Upgraded(wire, drained)
        stream.feed(bytes(HIGH_WATER + 1))
        assert not wire.reading
        while not wire.reading:
            await stream.receive(1 << 16)
        stream.feed(b"more")
        assert await stream.receive() == b"more"

    virtual(body)


def test_ends(virtual: Virtual) -> None:
    """What came before the end is read before it; whoever sends to nobody hears of it."""

    async def body(clock: VirtualClock) -> None:
        wire = Wire()
        stream = Upgraded(wire, drained)
        stream.feed(b"last")
        stream.feed_eof()
        assert await stream.receive() == b"last"
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"x")
        await stream.answer(b"x")
        assert wire.sent == []
        await stream.aclose()
        assert wire.closed

    virtual(body)


def test_silence_ends_it(virtual: Virtual) -> None:
    """Without a byte either way the scope is cancelled in time, and not before."""

    async def body(clock: VirtualClock) -> None:
        stream = Upgraded(Wire(), drained)
        began = clock.monotonic()
        with anyio.CancelScope() as scope:
            stream.watch_idleness(scope, 100)
            await clock.sleep(60)
            stream.feed(b"x")
            await clock.sleep(60)
            await stream.send(b"x")
            await clock.sleep(1000)
        assert 210 <= clock.monotonic() - began <= 221

    virtual(body)


def test_who_has_gone_is_found_out(virtual: Virtual) -> None:
    """While input waits heartbeats are sent; an end that nobody reads ends the conversation all the same."""

    async def body(clock: VirtualClock) -> None:
        wire = Wire()
        stream = Upgraded(wire, drained)
        async with anyio.create_task_group() as group:
            group.start_soon(stream.keep_up, b"beat", group.cancel_scope)
            await clock.sleep(3 * HEARTBEAT_SECONDS + 1)
            assert wire.sent == [], "a client that is listened to needs none"
            stream.feed(bytes(HIGH_WATER + 1))
            await clock.sleep(2 * HEARTBEAT_SECONDS)
            assert wire.sent == [b"beat"] * 2
            stream.feed_eof()
            await anyio.sleep_forever()

    virtual(body)
