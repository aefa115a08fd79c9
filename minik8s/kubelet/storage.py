"""A pod that uses more local storage than it may is evicted, and only such a pod: nobody else's fault is in it.

Upstream: localStorageEviction of pkg/kubelet/eviction/eviction_manager.go, with its order, its texts and its interval.
What a container writes is measured, not hindered, so a limit may be passed for a while. Only pods that have limits are
looked at, each by a task of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio.to_thread
import attrs

from minik8s.api.pods import container_amounts, pod_limits
from minik8s.kubelet.admission import is_critical
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.runtime.usage import bytes_below
from minik8s.machinery.meta import Doc
from minik8s.machinery.quantity import Quantity, parse_quantity

if TYPE_CHECKING:
    from minik8s.kubelet.pod_worker import PodWorker

SYNC_SECONDS = 10.0
"""Between two looks (upstream: monitoringInterval)."""
GRACE_SECONDS = 1.0
"""Upstream: immediateEvictionGracePeriodSeconds."""
RESOURCE = "ephemeral-storage"


@attrs.frozen
class StorageLimits:
    """What a pod may use: of its emptyDir volumes and its containers by name, and of all together."""

    volumes: Mapping[str, Quantity]
    containers: Mapping[str, Quantity]
    pod: Quantity | None


@attrs.frozen
class StorageUsage:
    """Bytes in use. `volumes` are those that the kubelet fills or has made; a container's are its logs and its own
    files. `in_memory` are volumes that are on no disk."""

    volumes: Mapping[str, int]
    containers: Mapping[str, int]
    in_memory: frozenset[str] = frozenset()


def storage_limits(pod: Doc) -> StorageLimits | None:
    """None for a pod without any, or that the node cannot do without."""
    spec = pod["spec"]
    sizes = {v["name"]: (v.get("emptyDir") or {}).get("sizeLimit") or 0 for v in spec.get("volumes") or ()}
    limits = StorageLimits(
        volumes={name: limit for name, text in sizes.items() if (limit := parse_quantity(text))},
        containers={
            container["name"]: size
            for container in spec["containers"]
            if (size := container_amounts(container, "limits").get(RESOURCE))
        },
        pod=pod_limits(pod).get(RESOURCE),
    )
    if is_critical(pod) or not (limits.volumes or limits.containers or limits.pod is not None):
        return None
    return limits


def overuse(limits: StorageLimits, usage: StorageUsage) -> str:
    """What a pod uses too much of, in the words of its status; "" for nothing."""
    for name, size in limits.volumes.items():
        if usage.volumes.get(name, 0) > size.value():
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{size}". '
    on_disk = sum(used for name, used in usage.volumes.items() if name not in usage.in_memory)
    if limits.pod is not None and sum(usage.containers.values()) + on_disk > limits.pod.value():
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {limits.pod}. "
    for name, size in limits.containers.items():
        if usage.containers.get(name, 0) > size.value():
            return f'Container {name} exceeded its local ephemeral storage limit "{size}". '
    return ""


async def watch_storage(node: NodeContext, worker: PodWorker, limits: StorageLimits) -> None:
    """Looks after one pod until it ends or has to."""
    while True:
        await node.clock.sleep(SYNC_SECONDS)
        if worker.is_ending or worker.ended:
            return
        if text := overuse(limits, await _measured(node, worker)):
            worker.evict(text, GRACE_SECONDS)
            return


async def _measured(node: NodeContext, worker: PodWorker) -> StorageUsage:
    places, in_memory = worker.keeper.volumes.measured()
    runs = {name: known.running for name, known in worker.containers.items()}
    running = {name: run.container for name, run in runs.items() if run is not None and run.container is not None}
    names = [container["name"] for container in worker.pod["spec"]["containers"]]

    def measure() -> StorageUsage:
        written = {name: node.runtime.written_bytes(container) for name, container in running.items()}
        logs = {name: bytes_below(worker.directory / "logs" / name) for name in names}
        return StorageUsage(
            volumes={name: bytes_below(path) for name, path in places.items()},
            containers={name: logs[name] + written.get(name, 0) for name in names},
            in_memory=in_memory,
        )

    return await anyio.to_thread.run_sync(measure)
