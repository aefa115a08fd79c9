"""The transport that gathers what is written in one step of the loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from minik8s.apiserver.server import WRITE_AT_ONCE, Outbox

pytestmark = pytest.mark.anyio


class Recorder(asyncio.Transport):
    """A transport that only remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []
        self.closing = False

    def write(self, data: Any) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...
    def abort(self) -> None: ...


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def outbox(recorder: Recorder) -> Outbox:
    return Outbox(recorder, asyncio.get_running_loop())


async def test_writes_of_one_step_leave_together(recorder: Recorder, outbox: Outbox) -> None:
    """Head and body are one write; what the next step writes is another."""
    outbox.write(b"head ")
    outbox.write(b"body")
    assert recorder.told == []
    await asyncio.sleep(0)
    outbox.write(b"next")
    await asyncio.sleep(0)
    assert recorder.told == [b"head body", b"next"]


async def test_much_leaves_at_once(recorder: Recorder, outbox: Outbox) -> None:
    """A large write is not held back, and takes along what was waiting, so the sender feels back-pressure."""
    outbox.write(b"head ")
    outbox.write(b"x" * WRITE_AT_ONCE)
    assert [len(data) for data in recorder.told] == [5 + WRITE_AT_ONCE]


async def test_closing_sends_what_waits(recorder: Recorder, outbox: Outbox) -> None:
    """Nothing that was written before close is lost."""
    outbox.write(b"last")
    outbox.close()
    await asyncio.sleep(0)
    assert recorder.told == [b"last", "close"]


async def test_a_client_that_left_gets_nothing(recorder: Recorder, outbox: Outbox) -> None:
    """After the transport has begun to close nothing is written to it: asyncio would complain of every attempt."""
    outbox.write(b"too late")
    recorder.closing = True
    await asyncio.sleep(0)
    assert recorder.told == []
