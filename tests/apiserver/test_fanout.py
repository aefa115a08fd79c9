"""Watchers that share a reader: everybody gets everything once, in order, and nobody waits for anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from minik8s.api.request import WatchEvent
from minik8s.apiserver.fanout import Fanout

pytestmark = pytest.mark.anyio


class Wire:
    """A connection: what arrived on it, by its own task or by others."""

    def __init__(self) -> None:
        self.ready = True
        self.own: list[str] = []
        self.arrived: list[str] = []

    def write_now(self, data: bytes) -> None:
        size, _, rest = data.partition(b"\r\n")
        assert rest == rest[: int(size, 16)] + b"\r\n"
        self.arrived += rest.decode().split()


class History:
    """A log of numbered events that sessions read, each at its own position."""

    def __init__(self) -> None:
        self.length = 0
        self.changed = anyio.Event()

    def add(self) -> None:
        self.length += 1
        self.changed.set()
        self.changed = anyio.Event()


class Numbers:
    """A session over a history; `bookmark` makes it say something of its own."""

    key = "numbers"

    def __init__(self, history: History) -> None:
        self.history = history
        self.seen = history.length
        self.wake: Callable[[], object] | None = None
        self.leave: Callable[[], object] | None = None
        self.alone = False
        self.bookmark_due = False
        self.reads = 0

    async def events(self) -> AsyncIterator[list[WatchEvent]]:
        while True:
            if self.bookmark_due:
                self.bookmark_due = False
                yield [WatchEvent("BOOKMARK", {"n": "bookmark"})]
            elif self.seen < self.history.length:
                first, self.seen = self.seen + 1, self.history.length
                self.reads += 1
                yield [WatchEvent("ADDED", {"n": str(n)}) for n in range(first, self.seen + 1)]
            else:
                await self.history.changed.wait()

    def resume(self, after: int) -> None:
        self.seen = after

    def bookmark(self) -> None:
        self.bookmark_due = True
        assert self.wake is not None
        self.wake()


def encode(batch: list[WatchEvent]) -> bytes:
    return " ".join(str(event.object["n"]) for event in batch).encode()


class World:
    """A fan-out with its watchers, each in a task, stopped by cancelling its scope."""

    def __init__(self, group: Any) -> None:
        self.group = group
        self.history, self.fanout = History(), Fanout()
        self.scopes: dict[Numbers, anyio.CancelScope] = {}

    def watcher(self) -> tuple[Numbers, Wire]:
        session, wire = Numbers(self.history), Wire()
        self.group.start_soon(self._run, session, wire)
        return session, wire

    async def _run(self, session: Numbers, wire: Wire) -> None:
        with anyio.CancelScope() as self.scopes[session]:
            lines = self.fanout.lines(session, session.events(), encode, wire)
            try:
                async for line in lines:
                    wire.own += line.decode().split()
                    wire.arrived += line.decode().split()
                    while not wire.ready:
                        await checkpoint()
            finally:
                await lines.aclose()

    async def happen(self, count: int = 1) -> None:
        """Events one by one, each with time for everybody to notice."""
        for _ in range(count):
            self.history.add()
            await anyio.wait_all_tasks_blocked()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with anyio.create_task_group() as group:
        yield World(group)
        group.cancel_scope.cancel()


async def test_one_reads_for_all(world: World) -> None:
    """After the first event a single watcher reads, and all of them get every event in order."""
    watchers = [world.watcher() for _ in range(5)]
    await anyio.wait_all_tasks_blocked()
    await world.happen(4)
    assert [wire.arrived for _, wire in watchers] == [["1", "2", "3", "4"]] * 5
    assert sorted(session.reads for session, _ in watchers) == [1, 1, 1, 1, 4]


async def test_a_full_connection_reads_for_itself(world: World) -> None:
    """A follower that cannot be written to is left out, holds up nobody, and misses nothing in the end."""
    _, (_, slow), (_, quick) = [world.watcher() for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    await world.happen()
    slow.ready = False
    for _ in range(3):
        world.history.add()
        for _ in range(20):
            await checkpoint()
    assert quick.arrived == ["1", "2", "3", "4"]
    assert len(slow.arrived) < 4
    slow.ready = True
    await anyio.wait_all_tasks_blocked()
    await world.happen()
    assert slow.arrived == ["1", "2", "3", "4", "5"]


async def test_a_leader_that_leaves_is_replaced(world: World) -> None:
    """When the reader goes the others read on, and one of them leads again."""
    watchers = [world.watcher() for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    await world.happen(2)
    leader = max(watchers, key=lambda watcher: watcher[0].reads)
    world.scopes[leader[0]].cancel()
    await anyio.wait_all_tasks_blocked()
    await world.happen(3)
    rest = [watcher for watcher in watchers if watcher is not leader]
    assert [wire.arrived for _, wire in rest] == [["1", "2", "3", "4", "5"]] * 2
    assert sorted(session.reads for session, _ in rest) == [2, 4]


async def test_a_leader_that_cannot_send_holds_up_nobody(world: World) -> None:
    """A reader whose own connection is full gives up the lead before it waits."""
    watchers = [world.watcher() for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    await world.happen(2)
    leader = max(watchers, key=lambda watcher: watcher[0].reads)
    leader[1].ready = False
    for _ in range(3):
        world.history.add()
        for _ in range(20):
            await checkpoint()
    assert [wire.arrived for _, wire in watchers if wire is not leader[1]] == [["1", "2", "3", "4", "5"]] * 2
    leader[1].ready = True
    await anyio.wait_all_tasks_blocked()
    assert leader[1].arrived == ["1", "2", "3", "4", "5"]


async def test_a_follower_speaks_for_itself(world: World) -> None:
    """A bookmark goes to its own watcher only, who follows again afterwards."""
    watchers = [world.watcher() for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    await world.happen()
    session, wire = min(watchers[1:], key=lambda watcher: watcher[0].reads)
    session.bookmark()
    await anyio.wait_all_tasks_blocked()
    await world.happen()
    assert wire.arrived == ["1", "bookmark", "2"]
    assert wire.own == ["1", "bookmark"]
    assert all(other.arrived == ["1", "2"] for _, other in watchers if other is not wire)


async def test_late_comers_join(world: World) -> None:
    """A watcher that starts later sees only what happens from then on, and follows after an event or two."""
    world.watcher()
    await anyio.wait_all_tasks_blocked()
    await world.happen(3)
    session, wire = world.watcher()
    await anyio.wait_all_tasks_blocked()
    await world.happen(5)
    assert wire.arrived == ["4", "5", "6", "7", "8"]
    assert session.reads <= 2
