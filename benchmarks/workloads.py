"""What workload controllers cost: CPU per object at two sizes, all components included, in virtual time.

A Deployment that grows from one pod, one that is rolled out anew, and one that is deleted with its pods; a Job's pods
from creation to counted; and a namespace that is deleted with everything in it. The cost per object must stay flat as
their number grows: the larger size's note says what it is of the smaller's.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from benchmarks.report import Figure
from minik8s import CONFIG_MAPS, DEPLOYMENTS, JOBS, PODS, Cluster
from minik8s.api.resources import NAMESPACES

NODES, RUNS = 10, 3
POD_SIZES, OBJECT_SIZES = (100, 500), (1000, 5000)
LABELS = {"app": "bench"}
OPTIONS: dict[str, Any] = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "seed": 1}
HOUR = 3600.0

Scenario = Callable[[Cluster, int], Awaitable[float]]
"""Prepares a cluster and does the work for so many objects; the CPU seconds that the work took."""


class Timed:
    """CPU seconds of a block, without what the garbage collector of the process happens to do in it."""

    def __enter__(self) -> Timed:
        gc.collect()
        gc.disable()
        self._start = time.process_time()
        return self

    def __exit__(self, *exc: object) -> None:
        self.seconds = time.process_time() - self._start
        gc.enable()


def measure() -> list[Figure]:
    figures = []
    for what, scenario, sizes in (
        ("pod of a Deployment that grows from 1", grow, POD_SIZES),
        ("pod of a Deployment that is rolled out", roll_out, POD_SIZES),
        ("pod of a Deployment that is deleted", delete_foreground, POD_SIZES),
        ("pod of a Job", run_job, POD_SIZES),
        ("ConfigMap of a namespace that is deleted", delete_configs, OBJECT_SIZES),
        ("pod of a namespace that is deleted", delete_pods, POD_SIZES),
    ):
        figures += _figures(what, scenario, sizes)
    return figures


def _figures(what: str, scenario: Scenario, sizes: tuple[int, ...]) -> list[Figure]:
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(RUNS):  # in turn, so that what else the machine does meets all sizes
        for size in sizes:
            costs[size].append(anyio.run(_run, scenario, size))
    medians = {size: statistics.median(found) * 1e6 for size, found in costs.items()}
    least = medians[sizes[0]]
    return [
        Figure(f"{what}, {size}", cost, "us", note=f"{cost / least:.2f} of the cost at {sizes[0]}" * (size != sizes[0]))
        for size, cost in medians.items()
    ]


async def _run(scenario: Scenario, size: int) -> float:
    """CPU seconds per object."""
    async with Cluster(nodes=NODES, **OPTIONS) as cluster:
        return await scenario(cluster, size) / size


def _deployment(replicas: int) -> Any:
    container = {"name": "main", "image": "nginx:1", "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}}}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": LABELS}, "spec": spec}
    body = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    metadata = {"name": "bench", "namespace": "default"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": body}


async def _available(cluster: Cluster, replicas: int, namespace: str = "default") -> None:
    def done(obj: Any) -> bool:
        status = obj["status"]
        if status.get("observedGeneration") != obj["metadata"]["generation"]:
            return False
        return {status.get(n) for n in ("replicas", "updatedReplicas", "availableReplicas")} == {replicas}

    await cluster.wait_for(DEPLOYMENTS, "bench", done, namespace=namespace, timeout=HOUR)


async def _with_pods(cluster: Cluster, replicas: int) -> None:
    await cluster.client.create(DEPLOYMENTS, _deployment(replicas))
    await _available(cluster, replicas)
    await cluster.settle()


async def _until_none(cluster: Cluster, resource: Any, namespace: str) -> None:
    with anyio.fail_after(HOUR):
        while (await cluster.client.list(resource, namespace=namespace, limit="1")).items:
            await cluster.clock.sleep(1)


async def grow(cluster: Cluster, size: int) -> float:
    """From 1 replica to `size`."""
    await _with_pods(cluster, 1)
    with Timed() as timed:
        await cluster.client.patch(DEPLOYMENTS, "bench", {"spec": {"replicas": size}}, namespace="default")
        await _available(cluster, size)
    return timed.seconds


async def roll_out(cluster: Cluster, size: int) -> float:
    """All pods replaced by those of another template, a quarter at a time."""
    await _with_pods(cluster, size)
    patch = {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}
    with Timed() as timed:
        await cluster.client.patch(DEPLOYMENTS, "bench", patch, namespace="default")
        await _available(cluster, size)
    return timed.seconds


async def delete_foreground(cluster: Cluster, size: int) -> float:
    """The Deployment goes after its ReplicaSet, and that after its pods."""
    await _with_pods(cluster, size)
    with Timed() as timed:
        await cluster.client.delete(DEPLOYMENTS, "bench", namespace="default", propagation="Foreground")
        await _until_none(cluster, DEPLOYMENTS, "default")
    return timed.seconds


async def run_job(cluster: Cluster, size: int) -> float:
    """An Indexed Job of `size` pods, all at once, that run for a minute."""
    template = _deployment(1)["spec"]["template"]
    spec = {**template["spec"], "restartPolicy": "Never"}
    metadata = {**template["metadata"], "annotations": {"simulated.minik8s.dev/run-seconds": "60"}}
    body = {"completions": size, "parallelism": size, "completionMode": "Indexed"}
    document = {
        "metadata": {"name": "bench", "namespace": "default"},
        "spec": {**body, "template": {"metadata": metadata, "spec": spec}},
    }
    with Timed() as timed:
        await cluster.client.create(JOBS, document)
        await cluster.wait_for(JOBS, "bench", lambda job: "completionTime" in job["status"], timeout=HOUR)
    return timed.seconds


async def delete_configs(cluster: Cluster, size: int) -> float:
    await cluster.client.create(NAMESPACES, {"metadata": {"name": "doomed"}})
    for number in range(size):
        metadata = {"name": f"config-{number}", "namespace": "doomed"}
        await cluster.client.create(CONFIG_MAPS, {"metadata": metadata, "data": {"key": "value"}})
    await cluster.settle()
    return await _delete_namespace(cluster, "doomed")


async def delete_pods(cluster: Cluster, size: int) -> float:
    await cluster.client.create(NAMESPACES, {"metadata": {"name": "doomed"}})
    await cluster.settle()
    document = _deployment(size)
    document["metadata"]["namespace"] = "doomed"
    await cluster.client.create(DEPLOYMENTS, document)
    await _available(cluster, size, "doomed")
    await cluster.settle()
    assert len((await cluster.client.list(PODS, namespace="doomed")).items) == size
    return await _delete_namespace(cluster, "doomed")


async def _delete_namespace(cluster: Cluster, name: str) -> float:
    with Timed() as timed:
        await cluster.client.delete(NAMESPACES, name)
        with anyio.fail_after(HOUR):
            while await cluster.client.find(NAMESPACES, name) is not None:
                await cluster.clock.sleep(1)
    return timed.seconds
