"""NodeResourcesFit and NodeResourcesBalancedAllocation: is there room, where is most of it, where does it stay even.

Fit compares requests with what is allocatable; it prefers the emptiest node (the LeastAllocated strategy). Balanced
prefers nodes on which cpu and memory are used alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from minik8s.scheduler.framework import MAX_SCORE, SKIP, Code, CycleState, Event, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo

_FIT = "NodeResourcesFit"
_TOO_MANY = "Too many pods"


class Fit:
    name = _FIT
    local = True
    events = Event.NODE_ADD | Event.NODE_ALLOCATABLE | Event.POD_DELETE

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        if (
            len(node.pods) < node.allowed_pods
            and (not pod.cpu or pod.cpu <= node.cpu - node.requested_cpu)
            and (not pod.memory or pod.memory <= node.memory - node.requested_memory)
            and not pod.scalars
        ):
            return None
        return _explain(pod, node)

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """LeastAllocated with equal weights: the mean free share of cpu and memory, in percent."""
        total = parts = 0
        if cpu := node.cpu:
            total += max(0, cpu - node.assumed_cpu - pod.assumed_cpu) * MAX_SCORE // cpu
            parts += 1
        if memory := node.memory:
            total += max(0, memory - node.assumed_memory - pod.assumed_memory) * MAX_SCORE // memory
            parts += 1
        return total // parts if parts else 0

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        """A node with room, or the end of a pod that held something this one wants (its place at least)."""
        if isinstance(subject, PodInfo):
            return True
        return self.filter(CycleState(), pod, subject) is None


def _explain(pod: PodInfo, node: NodeInfo) -> Status | None:
    """Everything that is missing; unresolvable when even the empty node would lack it."""
    reasons = [_TOO_MANY] if len(node.pods) >= node.allowed_pods else []
    hopeless = False
    wanted = [("cpu", pod.cpu, node.requested_cpu), ("memory", pod.memory, node.requested_memory)]
    wanted += [(name, number, node.requested.get(name, 0)) for name, number in pod.scalars]
    for name, number, used in wanted:
        capacity = node.allocatable.get(name, 0)
        if number and number > capacity - used:
            reasons.append(f"Insufficient {name}")
            hopeless = hopeless or number > capacity
    return _verdict(tuple(reasons), hopeless) if reasons else None


@lru_cache(maxsize=1024)
def _verdict(reasons: tuple[str, ...], hopeless: bool) -> Status:
    return Status(Code.UNRESOLVABLE if hopeless else Code.UNSCHEDULABLE, reasons, _FIT)


class BalancedAllocation:
    name = "NodeResourcesBalancedAllocation"
    local = True

    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None:
        """A pod that requests nothing changes no balance."""
        return None if pod.requests else SKIP

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """100 less the standard deviation of the used shares of cpu and memory, in percent."""
        if not node.cpu or not node.memory:
            return MAX_SCORE
        cpu = min(1.0, (node.requested_cpu + pod.cpu) / node.cpu)
        memory = min(1.0, (node.requested_memory + pod.memory) / node.memory)
        return int((1 - abs(cpu - memory) / 2) * MAX_SCORE)
