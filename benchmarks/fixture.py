"""What a test pays for its cluster: set-up and tear-down, forks of a prepared base, memory, a suite in parallel
workers; and what a day of a cluster with CronJobs takes in virtual time.

CPU milliseconds are the process's own, so that they mean something on a busy machine, too.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from benchmarks.processes import answer_of
from benchmarks.report import Figure

RUNS, TIMES = 3, 20
OBJECTS, CRON_JOBS, TESTS, WORKERS = 1000, 100, 200, 2
QUIET: dict[str, Any] = {"runtime": "simulated", "serve": False, "proxy": False}
SUITE = f"""
import pytest
from minik8s import CONFIG_MAPS
from minik8s.testing.builders import config_map

pytestmark = pytest.mark.minik8s(runtime="simulated", serve=False, proxy=False)

@pytest.mark.parametrize("turn", range({TESTS}))
async def test_it(cluster, turn):
    await cluster.apply(config_map("a", data={{"turn": str(turn)}}))
    assert (await cluster.client.get(CONFIG_MAPS, "a", namespace="default"))["data"]["turn"] == str(turn)
"""


def measure() -> list[Figure]:
    children = [_child() for _ in range(RUNS)]

    def median(key: str) -> float:
        return statistics.median(child[key] for child in children)

    day = _child("day")["day"]
    one, several = _suite(0), _suite(WORKERS)
    return [
        Figure("a test's cluster: set-up and tear-down, CPU", median("empty") * 1e3, "ms", 10),
        Figure("the same, served over TLS, CPU", median("served") * 1e3, "ms"),
        Figure(f"fork of {OBJECTS:,} objects", median("fork") * 1e3, "ms", 5),
        Figure(f"a test's fork of {OBJECTS:,} objects: set-up and tear-down, CPU", median("forked") * 1e3, "ms"),
        Figure(f"memory of a further fork of {OBJECTS:,} objects", median("memory") / 2**20, "MiB", 2),
        Figure(f"{TESTS} small tests in one process", one, "s"),
        Figure(f"{TESTS} small tests in {WORKERS} workers", several, "s", note=f"{one / several:.2f} times as fast"),
        Figure(f"a virtual day of {CRON_JOBS} hourly CronJobs, CPU", day, "s", note=f"{CRON_JOBS * 24:,} jobs"),
    ]


def _child(*args: str) -> dict[str, float]:
    answer: dict[str, float] = answer_of("benchmarks.fixture", *args)
    return answer


def _suite(workers: int) -> float:
    """Seconds of a whole pytest session."""
    with TemporaryDirectory() as directory:
        (Path(directory) / "test_suite.py").write_text(SUITE)
        parallel = ["-n", str(workers)] if workers else ["-p", "no:xdist"]
        plugins = ["-p", "no:asyncio", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", "-q", "--rootdir", directory, *plugins, *parallel, directory]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        start = time.perf_counter()
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


async def _cpu(body: Callable[[], Awaitable[None]]) -> float:
    """Median CPU seconds of a body."""
    await body()
    taken = []
    for _ in range(TIMES):
        start = time.process_time()
        await body()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


async def _measure_here() -> dict[str, float]:
    """In a fresh process, after import."""
    from minik8s import Cluster
    from minik8s.testing.builders import config_map

    async def empty() -> None:
        async with Cluster(**QUIET, freeze=True, strict=True):
            pass

    async def served() -> None:
        async with Cluster(runtime="simulated", freeze=True, strict=True):
            pass

    found = {"empty": await _cpu(empty), "served": await _cpu(served)}
    async with Cluster(**QUIET) as base:
        for index in range(OBJECTS):
            await base.apply(config_map(f"cm-{index}", data={"index": str(index)}))

        async def fork() -> None:
            base.fork()

        async def forked() -> None:
            async with base.fork():
                pass

        found |= {"fork": await _cpu(fork), "forked": await _cpu(forked), "memory": await _memory(base)}
    return found


async def _memory(base: Any) -> float:
    """Bytes of resident memory that each of several running forks adds."""
    async with anyio.create_task_group() as group:
        done = anyio.Event()

        async def hold(started: anyio.Event) -> None:
            async with base.fork():
                started.set()
                await done.wait()

        before = 0
        for index in range(TIMES):
            started = anyio.Event()
            group.start_soon(hold, started)
            await started.wait()
            if index == 0:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        done.set()
    return (after - before) * 1024 / (TIMES - 1)


async def _day() -> dict[str, float]:
    """CPU seconds of 24 virtual hours."""
    from minik8s import Cluster
    from minik8s.testing.builders import cron_job

    seconds = {"simulated.minik8s.dev/run-seconds": "5"}
    patch = {"spec": {"jobTemplate": {"spec": {"template": {"metadata": {"annotations": seconds}}}}}}
    async with Cluster(**QUIET, clock="virtual", seed=1) as cluster:
        for index in range(CRON_JOBS):
            await cluster.apply(cron_job(f"job-{index}", patch, schedule=f"{index % 60} * * * *"))
        start = time.process_time()
        await cluster.advance(hours=24)
        return {"day": time.process_time() - start}


if __name__ == "__main__":
    print(json.dumps(anyio.run(_day if sys.argv[1:] == ["day"] else _measure_here)))
