"""Latches: events for what is hardly ever waited for."""

from __future__ import annotations

import anyio

from minik8s.kubelet.latch import Latch


def test_a_latch_wakes_whoever_waits() -> None:
    """Any number who wait, and whoever comes later is not kept."""

    async def main() -> None:
        latch, woken = Latch(), []

        async def wait(number: int) -> None:
            await latch.wait()
            woken.append(number)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
            assert (woken, latch.is_set()) == ([], False)
            latch.set()
        await wait(3)
        assert sorted(woken) == [0, 1, 2, 3]
        assert latch.is_set()

    anyio.run(main)
