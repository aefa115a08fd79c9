"""Simulated clusters by size: CPU and memory of a pod, from its creation to Running and to its end, and of idleness.

    python -m benchmarks scale                     1,000 nodes and 10,000 pods, and a quarter of that
    python -m benchmarks.scale 5000:100000 ...     other sizes; minutes of a core

All work is counted: events, controllers and informers, up to where nothing is left to do. Each size runs in a process
of its own, whose collector is tuned as `minik8s up` does. Memory is what the process holds more than before, by pod.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks.report import Figure, show
from minik8s import PODS, Cluster
from minik8s.collector import tune_collector
from minik8s.machinery.meta import Doc

SIZES = ((250, 2_500), (1_000, 10_000))
"""The smaller one shows whether the cost of a pod stays what it is when the cluster grows."""
BUDGETS = {(1_000, 10_000): 500.0, (5_000, 100_000): 450.0}
"""Microseconds of CPU for a pod (design, section 9): 5 seconds, 45 seconds."""
IDLE_MINUTES = 2
PATIENCE = 3600.0
POD: dict[str, Any] = {
    "metadata": {"generateName": "pod-", "namespace": "default", "labels": {"app": "bench"}},
    "spec": {
        "containers": [
            {"name": "main", "image": "nginx:1", "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}},
        ]
    },
}


def measure(sizes: tuple[tuple[int, int], ...] = SIZES) -> list[Figure]:
    return [figure for nodes, pods in sizes for figure in _figures(nodes, pods, _in_a_process(nodes, pods))]


def _figures(nodes: int, pods: int, found: dict[str, float]) -> list[Figure]:
    size = f"{nodes:,} nodes, {pods:,} pods"
    note = f"load average {found['load']:.1f}"
    return [
        Figure(f"{size}: a pod to Running (CPU)", found["running"], "us", BUDGETS.get((nodes, pods)), note=note),
        Figure(
            f"{size}: a pod with all its events", found["settled"], "us", note=f"created: {found['created']:.0f} us"
        ),
        Figure(f"{size}: a pod's end (CPU)", found["ended"], "us"),
        Figure(f"{size}: a pod's memory", found["memory"], "KiB", note=f"{found['resident']:,.0f} MiB in all"),
        Figure(f"{size}: a node's start (CPU)", found["start"], "us"),
        Figure(f"{size}: idle", found["idle"], "us", note="CPU for a node's ten seconds: one heartbeat, and informers"),
    ]


def _in_a_process(nodes: int, pods: int) -> dict[str, float]:
    run = [sys.executable, "-m", "benchmarks.scale", "--one", str(nodes), str(pods)]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


class Running:
    """Counts the pods that run, as an informer's handler."""

    def __init__(self, pods: int) -> None:
        self.count = 0
        self.everyone = anyio.Event()
        self._pods = pods

    def __call__(self, old: Doc | None, new: Doc | None) -> None:
        self.count += _runs(new) - _runs(old)
        if self.count == self._pods:
            self.everyone.set()


def _runs(pod: Doc | None) -> bool:
    return pod is not None and (pod.get("status") or {}).get("phase") == "Running"


async def one(nodes: int, pods: int) -> dict[str, float]:
    """One size, by name of figure; times in microseconds of CPU for a pod or node, memory in KiB and MiB."""
    options: dict[str, Any] = {"runtime": "simulated", "serve": False, "proxy": False, "clock": "virtual", "seed": 1}
    began = time.process_time()
    async with Cluster(nodes=nodes, **options) as cluster:
        found = {"start": (time.process_time() - began) / max(nodes, 1) * 1e6}
        tune_collector()
        before = resident()
        running = Running(pods)
        cluster.informers(PODS).add_handler(running)
        began = time.process_time()
        for _ in range(pods):
            await cluster.client.create(PODS, POD)
        found["created"] = (time.process_time() - began) / pods * 1e6
        await running.everyone.wait()
        found["running"] = (time.process_time() - began) / pods * 1e6
        await cluster.settle(timeout=PATIENCE)
        found["settled"] = (time.process_time() - began) / pods * 1e6
        tune_collector()
        found["resident"] = resident()
        found["memory"] = (found["resident"] - before) / pods * 1024
        began = time.process_time()
        await cluster.advance(minutes=IDLE_MINUTES)
        found["idle"] = (time.process_time() - began) / max(nodes, 1) / (IDLE_MINUTES * 6) * 1e6
        began = time.process_time()
        await cluster.client.delete_all(PODS, namespace="default")
        await cluster.settle(timeout=PATIENCE)
        found["ended"] = (time.process_time() - began) / pods * 1e6
    return found | {"load": os.getloadavg()[0]}


def resident() -> float:
    """The process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(anyio.run(one, int(sys.argv[2]), int(sys.argv[3]))))
    else:
        pairs = (argument.partition(":") for argument in sys.argv[1:])
        show(measure(tuple((int(nodes), int(pods)) for nodes, _, pods in pairs) or SIZES))
