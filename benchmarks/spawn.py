"""What a process costs: from asking the fork server to the program's start, alone and many at once."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import anyio

from benchmarks.report import Figure
from minik8s.kubelet.runtime.processes import Command, Process, Spawner

RUNS, PROCESSES = 5, 50


def measure() -> list[Figure]:
    return anyio.run(_measure)


async def _measure() -> list[Figure]:
    spawner = Spawner()
    with tempfile.TemporaryDirectory() as directory:
        command = Command(["sleep", "60"], {}, Path(directory), ["/bin/sleep"])
        try:
            await spawner.spawn(command)  # starts the fork server
            alone = statistics.median([await _timed(spawner, command, 1) for _ in range(PROCESSES)])
            together = statistics.median([await _timed(spawner, command, PROCESSES) for _ in range(RUNS)])
        finally:
            await spawner.aclose()
    return [
        Figure("start a process, one after another", alone * 1e3, "ms"),
        Figure(f"start {PROCESSES} processes at once, each", together / PROCESSES * 1e3, "ms"),
    ]


async def _timed(spawner: Spawner, command: Command, count: int) -> float:
    """Seconds until all of them run; ends them again."""
    start = time.perf_counter()
    started: list[Process] = []

    async def spawn() -> None:
        started.append(await spawner.spawn(command))

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(spawn)
    seconds = time.perf_counter() - start
    for process in started:
        process.close()
    return seconds
