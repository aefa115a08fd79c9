"""Time that tests control."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import anyio
import pytest

from minik8s.testing.clocks import EPOCH, ManualClock, run_virtually
from minik8s.virtualtime import VirtualClock


def test_a_manual_clock_calls_what_falls_due_in_order() -> None:
    """Calls happen at their own time, also those made meanwhile; what is cancelled or later does not."""
    clock = ManualClock()
    seen: list[tuple[str, float]] = []

    def say(word: str) -> Callable[[], None]:
        return lambda: seen.append((word, clock.monotonic()))

    clock.call_later(5, say("five"))
    clock.call_later(2, lambda: clock.call_later(1, say("three")))
    clock.call_later(4, say("never")).cancel()
    clock.call_later(10, say("later"))
    clock.advance(6)
    assert seen == [("three", 3), ("five", 5)]
    assert (clock.elapsed, clock.pending, clock.now()) == (6, 1, EPOCH + timedelta(seconds=6))


@pytest.mark.anyio
async def test_a_manual_clocks_sleepers_wait_for_it() -> None:
    """A sleeper wakes when the time has come; one that is cancelled leaves no timer."""
    clock = ManualClock()
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper, 1)
        group.start_soon(sleeper, 3)
        while clock.pending < 2:
            await anyio.lowlevel.checkpoint()
        clock.advance(2)
        while not woken:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert woken == [1]
    assert clock.pending == 0


def test_virtual_time_jumps() -> None:
    """Tasks wake in order, at exact times, however long they sleep; deadlines of anyio follow the same time."""
    seen: list[tuple[str, float]] = []

    async def body(clock: VirtualClock) -> None:
        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            seen.append((name, round(clock.elapsed, 3)))

        async with anyio.create_task_group() as group:
            group.start_soon(sleeper, "hour", 3600)
            group.start_soon(sleeper, "minute", 60)
            with anyio.move_on_after(120):
                await anyio.sleep_forever()
            seen.append(("deadline", round(clock.elapsed, 3)))

    run_virtually(body)
    assert seen == [("minute", 60), ("deadline", 120), ("hour", 3600)]


def test_a_body_that_hangs_fails() -> None:
    """Who waits for nothing that will ever come is stopped after a virtual day."""

    async def body(clock: VirtualClock) -> None:
        await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        run_virtually(body)
