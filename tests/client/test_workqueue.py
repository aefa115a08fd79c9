"""The work queue: one key, one worker, one pass for many reasons."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s.client.workqueue import WorkQueue


async def drain(queue: WorkQueue[str]) -> list[str]:
    """Everything that can be had now, done at once."""
    keys = []
    while not queue.idle:
        keys.append(await queue.get())
        queue.done(keys[-1])
    return keys


def test_dedupes(virtual: Any) -> None:
    """A key that is added again before somebody takes it comes out once, in its first place."""

    async def body(clock: Any) -> None:
        queue: WorkQueue[str] = WorkQueue(clock)
        for key in ("a", "b", "a", "a"):
            queue.add(key)
        assert await drain(queue) == ["a", "b"]
        assert queue.statistics().adds == 2

    virtual(body)


def test_never_two_workers_on_one_key(virtual: Any) -> None:
    """A key that is added while somebody has it comes out again only when that one is done."""

    async def body(clock: Any) -> None:
        queue: WorkQueue[str] = WorkQueue(clock)
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        with anyio.move_on_after(1):
            await queue.get()
            pytest.fail("the key came out twice")
        queue.done("a")
        assert await queue.get() == "a"

    virtual(body)


def test_delays(virtual: Any) -> None:
    """Of several delays the earliest counts; a delayed key is out of sight until then."""

    async def body(clock: Any) -> None:
        queue: WorkQueue[str] = WorkQueue(clock)
        begun = clock.monotonic()
        for seconds in (10, 5, 20):
            queue.add_after("a", seconds)
        assert queue.idle
        assert queue.statistics().delayed == 1
        queue.done(await queue.get())
        assert clock.monotonic() - begun == pytest.approx(5)
        await clock.sleep(100)
        assert queue.idle
        queue.add_after("a", 0)
        assert not queue.idle

    virtual(body)


def test_backoff(virtual: Any) -> None:
    """Failures double the delay from 5 ms to 1000 s, per key; success starts over."""

    async def body(clock: Any) -> None:
        queue: WorkQueue[str] = WorkQueue(clock)

        async def delay(key: str) -> float:
            begun = clock.monotonic()
            queue.add_rate_limited(key)
            queue.done(await queue.get())
            return float(clock.monotonic() - begun)

        delays = [await delay("a") for _ in range(20)]
        assert delays[:4] == pytest.approx([0.005, 0.01, 0.02, 0.04], abs=1e-5)
        assert delays[-1] == pytest.approx(1000)
        assert await delay("b") == pytest.approx(0.005, abs=1e-5)
        queue.forget("a")
        assert await delay("a") == pytest.approx(0.005, abs=1e-5)
        assert queue.statistics().retries == 22

    virtual(body)


def test_cancelled_getters_lose_nothing(virtual: Any) -> None:
    """A key that would have gone to a worker that is being cancelled goes to the next one."""

    async def body(clock: Any) -> None:
        queue: WorkQueue[str] = WorkQueue(clock)
        got: list[str] = []
        scope = anyio.CancelScope()

        async def first() -> None:
            with scope:
                await queue.get()

        async def second() -> None:
            got.append(await queue.get())

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(first)
                await clock.sleep(1)
                group.start_soon(second)
                await clock.sleep(1)
                scope.cancel()
                queue.add("a")
        assert got == ["a"]

    virtual(body)


def test_close_takes_timers_back(virtual: Any) -> None:
    """After closing no delayed key arrives."""

    async def body(clock: Any) -> None:
        queue: WorkQueue[str] = WorkQueue(clock)
        queue.add_after("a", 5)
        queue.close()
        await clock.sleep(10)
        assert queue.idle

    virtual(body)
