"""Creating pods in process while four informers watch: CPU per pod, all work included."""

from __future__ import annotations

import statistics
import time
from typing import Any

import anyio

from benchmarks.report import Figure
from minik8s import PODS, Cluster
from minik8s.client.informer import Informer, Informers

RUNS, PODS_A_RUN = 5, 3000
POD: dict[str, Any] = {
    "metadata": {"generateName": "pod-", "namespace": "default", "labels": {"app": "bench"}},
    "spec": {"containers": [{"name": "main", "image": "nginx:1", "ports": [{"containerPort": 80}]}]},
}


def measure() -> list[Figure]:
    return [Figure("create a pod, seen by 4 informers (CPU)", anyio.run(_measure) * 1e6, "us", 60)]


async def _measure() -> float:
    options: dict[str, Any] = {"nodes": 0, "serve": False, "controllers": ("serviceaccount",), "scheduler": False}
    async with Cluster(proxy=False, **options) as cluster, anyio.create_task_group() as group:
        informers = [Informers(cluster.client, cluster.clock, cluster.rng) for _ in range(4)]
        watching = [one(PODS) for one in informers]
        for one in informers:
            group.start_soon(one.run)
        for informer in watching:
            await informer.synced()
        runs = [await _run(cluster, watching) for _ in range(RUNS)]
        group.cancel_scope.cancel()
    return statistics.median(runs)


async def _run(cluster: Cluster, watching: list[Informer[Any]]) -> float:
    start = time.process_time()
    for _ in range(PODS_A_RUN):
        last = await cluster.client.create(PODS, POD)
    for informer in watching:
        await informer.lister.caught_up(int(last["metadata"]["resourceVersion"]))
    return (time.process_time() - start) / PODS_A_RUN
