"""Import time, start to the first Deployment Available, and what a further cluster costs."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import anyio

from benchmarks.processes import answer_of
from benchmarks.report import Figure

RUNS = 5
CLUSTERS = 20
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
"""


def measure() -> list[Figure]:
    children = [_child() for _ in range(RUNS)]

    def median(key: str) -> float:
        return statistics.median(child[key] for child in children)

    return [
        Figure("import minik8s", _import_seconds("import minik8s") * 1e3, "ms", 150),
        Figure("import Cluster from it", _import_seconds("from minik8s import Cluster") * 1e3, "ms"),
        Figure("start to first Deployment Available", median("available") * 1e3, "ms", 50),
        Figure("a further cluster: start and end", median("further") * 1e3, "ms", 5),
        Figure("a further cluster: memory", median("memory") / 2**20, "MiB", 2),
    ]


def _import_seconds(code: str) -> float:
    """Beyond an empty interpreter's start, from compiled files, as an installed package has them."""
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=compiled)
        return time.perf_counter() - start

    run(code)  # compiles what has never been imported
    return statistics.median(run(code) - run("pass") for _ in range(RUNS))


def _child() -> dict[str, float]:
    answer: dict[str, float] = answer_of("benchmarks.startup")
    return answer


async def _measure_here() -> dict[str, float]:
    """In a fresh process, after import."""
    from minik8s import DEPLOYMENTS, Cluster

    options: dict[str, Any] = {"runtime": "simulated", "serve": False, "proxy": False}
    start = time.perf_counter()
    async with Cluster(**options) as cluster:
        await cluster.apply(DEPLOYMENT)
        await cluster.wait_for(DEPLOYMENTS, "web", "Available")
        available = time.perf_counter() - start
    further = []
    for _ in range(CLUSTERS):
        start = time.perf_counter()
        async with Cluster(**options):
            pass
        further.append(time.perf_counter() - start)
    memory = await _memory_of_further(options)
    return {"available": available, "further": statistics.median(further), "memory": memory}


async def _memory_of_further(options: dict[str, Any]) -> float:
    """Bytes of resident memory that each of several idle clusters adds."""
    from minik8s import Cluster

    async with anyio.create_task_group() as group:
        done = anyio.Event()

        async def hold(started: anyio.Event) -> None:
            async with Cluster(**options):
                started.set()
                await done.wait()

        before = 0
        for index in range(CLUSTERS):
            started = anyio.Event()
            group.start_soon(hold, started)
            await started.wait()
            await anyio.sleep(0.02)
            if index == 0:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        done.set()
    return (after - before) * 1024 / (CLUSTERS - 1)


if __name__ == "__main__":
    print(json.dumps(anyio.run(_measure_here)))
