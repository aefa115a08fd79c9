"""Shared workers and the shared timer: order, patience, and nobody who is kept up by a slow one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from minik8s.kubelet.crew import Crew
from minik8s.kubelet.heartbeats import Heartbeats
from minik8s.virtualtime import VirtualClock

BEAT_SECONDS = 10.0


def play(scenario: Callable[[VirtualClock, Any], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        with clock.running():
            async with anyio.create_task_group() as group:
                await scenario(clock, group)
                group.cancel_scope.cancel()

    anyio.run(main)


def test_jobs_are_done_in_order() -> None:
    """One after the other, those that come in the meantime as well."""
    done: list[int] = []

    async def scenario(clock: VirtualClock, group: Any) -> None:
        crew = Crew("test", rounds=2)

        async def job(number: int) -> None:
            done.append(number)
            if number == 2:
                crew.add(partial(job, 9))

        for number in range(4):
            crew.add(partial(job, number))
        group.start_soon(crew.run)
        await clock.sleep(1)

    play(scenario)
    assert done == [0, 1, 2, 3, 9]


def test_a_waiting_job_keeps_nobody_up() -> None:
    """However many wait, those behind them are done at once; who has waited goes on."""
    done: list[str] = []

    async def scenario(clock: VirtualClock, group: Any) -> None:
        crew = Crew("test")

        async def job(name: str, seconds: float) -> None:
            if seconds:
                await clock.sleep(seconds)
            done.append(name)

        group.start_soon(crew.run)
        for turn in range(2):
            for name, seconds in (("slow", 30), ("slower", 50), ("quick", 0)):
                crew.add(partial(job, f"{name} {turn}", seconds))
            await clock.sleep(1)
            assert done == [f"quick {number}" for number in range(turn + 1)]
        await clock.sleep(60)

    play(scenario)
    assert done == ["quick 0", "quick 1", "slow 0", "slow 1", "slower 0", "slower 1"]


def test_who_comes_later_does_not_wait_either() -> None:
    """Whether a job was alone when it began to wait or not; and of all who have stood in, one stays."""
    done: list[str] = []

    async def scenario(clock: VirtualClock, group: Any) -> None:
        crew = Crew("test")

        async def job(name: str, seconds: float) -> None:
            if seconds:
                await clock.sleep(seconds)
            done.append(name)

        group.start_soon(crew.run)
        before = len(asyncio.all_tasks())
        for number in range(5):
            crew.add(partial(job, f"slow {number}", 30))
            await clock.sleep(1)
        crew.add(partial(job, "quick", 0))
        await clock.sleep(1)
        assert done == ["quick"]
        await clock.sleep(60)
        assert len(done) == 6
        assert len(asyncio.all_tasks()) <= before + 1

    play(scenario)


def test_what_a_job_raises_ends_the_crew() -> None:
    """A bug is not swallowed."""

    async def scenario(clock: VirtualClock, group: Any) -> None:
        crew = Crew("test")

        async def job() -> None:
            raise ZeroDivisionError

        crew.add(job)
        await crew.run()

    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        play(scenario)


class Node:
    """Beats, and takes its time when told to."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock, self.seconds = clock, 0.0
        self.beats: list[float] = []

    async def beat(self) -> None:
        self.beats.append(self.clock.elapsed)
        if self.seconds:
            await self.clock.sleep(self.seconds)


def test_everybody_beats_every_ten_seconds() -> None:
    """From when each has joined until it leaves; who comes while nobody is there is heard too."""

    async def scenario(clock: VirtualClock, group: Any) -> None:
        beats = Heartbeats(clock, BEAT_SECONDS)
        group.start_soon(beats.run)
        await clock.sleep(3)
        one, two, slow = Node(clock), Node(clock), Node(clock)
        leave = beats.join(one)
        await clock.sleep(4)
        beats.join(slow)
        beats.join(two)
        slow.seconds = 25
        await clock.sleep(41)
        leave()
        await clock.sleep(20)
        assert [round(beat) for beat in one.beats] == [13, 23, 33, 43]
        assert [round(beat) for beat in two.beats] == [17, 27, 37, 47, 57, 67]
        assert [round(beat) for beat in slow.beats] == [17, 52]

    play(scenario)


def test_neighbours_share_a_turn() -> None:
    """Those that are due within a tenth of a second beat together: a thousand nodes are not a thousand wake-ups."""

    async def scenario(clock: VirtualClock, group: Any) -> None:
        beats = Heartbeats(clock, BEAT_SECONDS)
        group.start_soon(beats.run)
        nodes = [Node(clock) for _ in range(50)]
        for node in nodes:
            beats.join(node)
            await clock.sleep(0.001)
        await clock.sleep(BEAT_SECONDS)
        assert len({node.beats[0] for node in nodes}) == 1

    play(scenario)
