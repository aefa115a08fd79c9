"""Which pod has to go when a node's disk is full, and what is said about it.

Upstream's pkg/kubelet/eviction with its defaults: one pod every ten seconds, the least important first, without grace,
for as long as the pressure lasts. What pods use is not measured, so that among equals the youngest goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from minik8s.kubelet.admission import is_critical
from minik8s.kubelet.pod_status import EVICTED
from minik8s.machinery.meta import Doc, name_of
from minik8s.machinery.quantity import from_value, parse_quantity

if TYPE_CHECKING:
    from minik8s.kubelet.context import NodeContext
    from minik8s.kubelet.node_agent import NodeAgent
    from minik8s.kubelet.pod_worker import PodWorker

SYNC_SECONDS = 10.0
"""Between two evictions (upstream: monitoringInterval)."""
THRESHOLD = 0.1
"""The share of the disk below which it counts as full (nodefs.available<10%)."""


def next_victim(pods: Iterable[Doc]) -> Doc | None:
    """The pod to evict, None when only critical ones are left."""
    candidates = [pod for pod in pods if not is_critical(pod)]
    if not candidates:
        return None
    last = max(pod["metadata"]["creationTimestamp"] for pod in candidates)

    def rank(pod: Doc) -> tuple[int, bool, str]:
        return int(pod["spec"].get("priority") or 0), pod["metadata"]["creationTimestamp"] != last, name_of(pod)

    return min(candidates, key=rank)


def message(capacity: str) -> str:
    """The words of the pod's status, with the node's capacity of ephemeral storage."""
    threshold = from_value(int(parse_quantity(capacity).value() * THRESHOLD), "BinarySI")
    return f"The node was low on resource: ephemeral-storage. Threshold quantity: {threshold}, available: 0. "


async def relieve(node: NodeContext, agent: NodeAgent, workers: Callable[[], Iterable[PodWorker]]) -> None:
    """Says that the node's disk is full and evicts pods until it is not any more."""
    await agent.report()
    while agent.disk_full:
        left = {id(worker.pod): worker for worker in workers() if not worker.ended and not worker.is_ending}
        victim = next_victim(worker.pod for worker in left.values())
        if victim is not None:
            text = message(node.allocatable["ephemeral-storage"])
            node.recorder.event(victim, "Warning", EVICTED, text)
            left[id(victim)].terminate(0, (EVICTED, text))
        await node.clock.sleep(SYNC_SECONDS)
