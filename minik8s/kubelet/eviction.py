"""Which pod has to go when a node runs short of disk or memory, and what is said about it.

Upstream's pkg/kubelet/eviction with its defaults: one pod every ten seconds, the least important first, almost without
grace, for as long as the pressure lasts. Whether there is pressure is not measured, but declared (`cluster.faults`).
What pods use of a disk is not either, so that among equals the youngest goes first; what they use of memory is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from minik8s.api.pods import container_amounts, in_units, pod_requests, qos_class, running_containers
from minik8s.api.scheduling import untolerated
from minik8s.kubelet.admission import Rejection, is_critical
from minik8s.kubelet.pod_status import EVICTED
from minik8s.machinery.meta import Doc, name_of
from minik8s.machinery.quantity import ZERO, from_value, parse_quantity

if TYPE_CHECKING:
    from minik8s.kubelet.context import NodeContext
    from minik8s.kubelet.node_agent import NodeAgent
    from minik8s.kubelet.pod_worker import PodWorker

SYNC_SECONDS = 10.0
"""Between two evictions (upstream: monitoringInterval)."""
GRACE_SECONDS = 1.0
"""Upstream: immediateEvictionGracePeriodSeconds."""
DISK_SHARE = 0.1
"""The share of the disk below which it counts as full (nodefs.available<10%)."""
MEMORY_LEFT = "100Mi"
"""What memory is left when it counts as used up (memory.available<100Mi)."""
MEMORY_TAINT = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}


@attrs.frozen
class Pressure:
    """What a node runs short of: the condition that says so, and the resource."""

    condition: str
    resource: str


DISK = Pressure("DiskPressure", "ephemeral-storage")
MEMORY = Pressure("MemoryPressure", "memory")


@attrs.frozen
class Candidate:
    """A pod that runs, with the bytes of memory that its containers use."""

    pod: Doc
    usage: Mapping[str, int]

    @property
    def excess(self) -> int:
        """Bytes of memory that it uses beyond its request; negative for one that asked for more."""
        return sum(self.usage.values()) - in_units(pod_requests(self.pod)).get("memory", 0)


def turned_away(pod: Doc, pressures: Iterable[str]) -> Rejection | None:
    """Whether a node with these conditions takes no such pod: short of memory, it takes those that ask for some."""
    pressures = sorted(pressures)
    if not pressures or is_critical(pod):
        return None
    tolerates = not untolerated([MEMORY_TAINT], pod["spec"].get("tolerations") or ())
    if pressures == [MEMORY.condition] and (qos_class(pod) != "BestEffort" or tolerates):
        return None
    return Rejection(EVICTED, f"The node had condition: [{' '.join(pressures)}]. ")


def next_victim(pressure: Pressure, candidates: Iterable[Candidate]) -> Candidate | None:
    """The pod to evict, None when only critical ones are left."""
    candidates = [candidate for candidate in candidates if not is_critical(candidate.pod)]
    if not candidates:
        return None
    last = max(candidate.pod["metadata"]["creationTimestamp"] for candidate in candidates)

    def rank(candidate: Candidate) -> tuple[bool, int, int, bool, str]:
        pod, excess = candidate.pod, candidate.excess if pressure is MEMORY else 0
        is_young = pod["metadata"]["creationTimestamp"] == last
        return excess <= 0, int(pod["spec"].get("priority") or 0), -excess, not is_young, name_of(pod)

    return min(candidates, key=rank)


def message(pressure: Pressure, capacity: Mapping[str, str], victim: Candidate) -> str:
    """The words of the pod's status; `capacity` is the node's."""
    if pressure is MEMORY:
        threshold = MEMORY_LEFT
    else:
        size = parse_quantity(capacity[pressure.resource]).value()
        threshold = str(from_value(int(size * DISK_SHARE), "BinarySI"))
    text = f"The node was low on resource: {pressure.resource}. Threshold quantity: {threshold}, available: 0. "
    return text + (_blamed(victim) if pressure is MEMORY else "")


def _blamed(victim: Candidate) -> str:
    """The containers that use more than they asked for."""
    text = ""
    for container in running_containers(victim.pod["spec"]):
        used = from_value(victim.usage.get(container["name"], 0), "BinarySI")
        request = container_amounts(container, "requests").get("memory", ZERO)
        if used > request:
            said = f"was using {used}, request is {request}, has larger consumption of memory"
            text += f"Container {container['name']} {said}. "
    return text


async def relieve(
    pressure: Pressure, node: NodeContext, agent: NodeAgent, workers: Callable[[], Iterable[PodWorker]]
) -> None:
    """Says whether the node is short of something, and evicts pods for as long as it is."""
    await agent.report()
    while pressure.condition in agent.pressures:
        left = {id(worker.pod): worker for worker in workers() if not worker.ended and not worker.is_ending}
        victim = next_victim(pressure, [Candidate(worker.pod, _usage(worker)) for worker in left.values()])
        node.recorder.event(agent.node, "Warning", "EvictionThresholdMet", f"Attempting to reclaim {pressure.resource}")
        if victim is not None:
            text = message(pressure, node.allocatable, victim)
            node.recorder.event(victim.pod, "Warning", EVICTED, text)
            left[id(victim.pod)].terminate(GRACE_SECONDS, (EVICTED, text))
        await node.clock.sleep(SYNC_SECONDS)


def _usage(worker: PodWorker) -> Mapping[str, int]:
    return {name: known.running.memory_usage for name, known in worker.containers.items() if known.running}
