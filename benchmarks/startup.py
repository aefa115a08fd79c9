"""Import time, start to the first Deployment Available, and what a further cluster costs."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time

import anyio

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
    imports = [_import_seconds() for _ in range(RUNS)]
    children = [_child() for _ in range(RUNS)]

    def median(key: str) -> float:
        return statistics.median(child[key] for child in children)

    return [
        Figure("import minik8s.Cluster, beyond an empty interpreter", statistics.median(imports) * 1e3, "ms", 150),
        Figure("start to first Deployment Available", median("available") * 1e3, "ms", 50),
        Figure("a further cluster: start and end", median("further") * 1e3, "ms", 5),
        Figure("a further cluster: memory", median("memory") / 2**20, "MiB", 2),
    ]


def _import_seconds() -> float:
    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    run("from minik8s import Cluster")
    return run("from minik8s import Cluster") - run("pass")


def _child() -> dict[str, float]:
    result = subprocess.run([sys.executable, "-m", "benchmarks.startup"], check=True, capture_output=True, text=True)
    answer: dict[str, float] = json.loads(result.stdout)
    return answer


async def _measure_here() -> dict[str, float]:
    """In a fresh process, after import."""
    from minik8s import DEPLOYMENTS, Cluster

    options = {"runtime": "simulated", "serve": False, "proxy": False}
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


async def _memory_of_further(options: dict[str, object]) -> float:
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
