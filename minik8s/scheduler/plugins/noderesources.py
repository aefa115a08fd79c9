"""NodeResourcesFit and NodeResourcesBalancedAllocation: is there room, and where is it best used.

Fit compares requests with what is allocatable; which node it prefers is a strategy: the emptiest, the fullest, or a
curve over the used share. Balanced prefers nodes whose resources the pod makes more evenly used, or less uneven.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import TypeAlias

from minik8s.machinery.meta import Doc
from minik8s.scheduler.devices.extended import stands_for
from minik8s.scheduler.framework import MAX_SCORE, SKIP, Code, CycleState, Event, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo

_FIT = "NodeResourcesFit"
_BALANCED = "NodeResourcesBalancedAllocation"
_TOO_MANY = "Too many pods"
_NATIVE = ("cpu", "memory", "ephemeral-storage")

Weights: TypeAlias = Sequence[tuple[str, int]]
"""Resource name and weight."""
EVEN: Weights = (("cpu", 1), ("memory", 1))
Strategy: TypeAlias = Callable[[int, int], int]
"""What would be used and what there is (more than 0) -> 0 … MAX_SCORE."""


def least_allocated(used: int, capacity: int) -> int:
    return max(0, capacity - used) * MAX_SCORE // capacity


def most_allocated(used: int, capacity: int) -> int:
    return min(used, capacity) * MAX_SCORE // capacity


def requested_to_capacity(shape: Sequence[tuple[int, int]]) -> Strategy:
    """The broken line through `shape`: used percent -> score of 0 … 10."""
    points = [(at, score * MAX_SCORE // 10) for at, score in shape]

    def strategy(used: int, capacity: int) -> int:
        percent = 100 if used > capacity else used * 100 // capacity
        before = points[0]
        for point in points:
            if percent <= point[0]:
                if point is before:
                    return point[1]
                rise = (point[1] - before[1]) * (percent - before[0])
                return before[1] + int(rise / (point[0] - before[0]))
            before = point
        return before[1]

    return strategy


class Fit:
    """`strategy` with `resources` scores; extended resources that are `ignored`, by name or by the part before the
    slash, are not asked for. `class_for` finds the DeviceClass behind a resource: where the node has none of it,
    DynamicResources decides. `rounded` is how RequestedToCapacityRatio adds up: without zeros, rounded."""

    name = _FIT
    local = True
    events = Event.NODE_ADD | Event.NODE_ALLOCATABLE | Event.POD_DELETE | Event.DEVICE_CLASS

    def __init__(
        self,
        strategy: Strategy = least_allocated,
        resources: Weights = EVEN,
        ignored: frozenset[str] = frozenset(),
        *,
        class_for: Callable[[str], Doc | None] = lambda _: None,
        rounded: bool = False,
    ) -> None:
        self._class_for = class_for
        self._strategy, self._resources, self._ignored, self._rounded = strategy, resources, ignored, rounded
        self._plain = strategy is least_allocated and tuple(resources) == EVEN

    def sign(self, pod: PodInfo) -> Hashable:
        """Pods are told apart by what may be devices: classes come and go."""
        if not pod.scalars:
            return None
        return tuple(name for name, _ in pod.scalars if self._class_for(name) is not None)

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        if (
            len(node.pods) < node.allowed_pods
            and (not pod.cpu or pod.cpu <= node.cpu - node.requested_cpu)
            and (not pod.memory or pod.memory <= node.memory - node.requested_memory)
            and not pod.scalars
        ):
            return None
        return self._explain(pod, node)

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """The mean of the strategy's scores by the resources' weights."""
        if self._plain:
            return _emptiest(pod, node)
        total = weights = 0
        for name, weight in self._resources:
            used, capacity = _assumed(name, pod, node)
            if not capacity:
                continue
            points = self._strategy(used, capacity)
            if points or not self._rounded:
                total += weight * points
                weights += weight
        if not weights:
            return 0
        return int(total / weights + 0.5) if self._rounded else total // weights

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo | Doc) -> bool:
        """A node with room, the end of a pod that held something this one wants (its place at least), or a class of
        devices that it may have instead."""
        if isinstance(subject, PodInfo):
            return True
        if isinstance(subject, NodeInfo):
            return self.filter(CycleState(), pod, subject) is None
        return any(stands_for(subject, name) for name, _ in pod.scalars)

    def _explain(self, pod: PodInfo, node: NodeInfo) -> Status | None:
        """Everything that is missing; unresolvable when even the empty node would lack it."""
        reasons = [_TOO_MANY] if len(node.pods) >= node.allowed_pods else []
        hopeless = False
        wanted = [("cpu", pod.cpu, node.requested_cpu), ("memory", pod.memory, node.requested_memory)]
        wanted += [(name, number, node.requested.get(name, 0)) for name, number in pod.scalars]
        for name, number, used in wanted:
            capacity = node.allocatable.get(name, 0)
            if number and number > capacity - used and not self._ignores(name) and not self._delegates(name, capacity):
                reasons.append(f"Insufficient {name}")
                hopeless = hopeless or number > capacity
        return _verdict(tuple(reasons), hopeless) if reasons else None

    def _delegates(self, name: str, capacity: int) -> bool:
        return not capacity and self._class_for(name) is not None

    def _ignores(self, name: str) -> bool:
        return "/" in name and (name in self._ignored or name.split("/")[0] in self._ignored)


def _emptiest(pod: PodInfo, node: NodeInfo) -> int:
    """LeastAllocated of cpu and memory alike, which nearly everybody has, written out."""
    total = parts = 0
    if cpu := node.cpu:
        total += max(0, cpu - node.assumed_cpu - pod.assumed_cpu) * MAX_SCORE // cpu
        parts += 1
    if memory := node.memory:
        total += max(0, memory - node.assumed_memory - pod.assumed_memory) * MAX_SCORE // memory
        parts += 1
    return total // parts if parts else 0


def _assumed(name: str, pod: PodInfo, node: NodeInfo) -> tuple[int, int]:
    """What would be used and what there is of a resource; nothing of an extended one that the pod does not want."""
    if name == "cpu":
        return node.assumed_cpu + pod.assumed_cpu, node.cpu
    if name == "memory":
        return node.assumed_memory + pod.assumed_memory, node.memory
    wanted = pod.requests.get(name, 0)
    if not wanted and name not in _NATIVE:
        return 0, 0
    return node.requested.get(name, 0) + wanted, node.allocatable.get(name, 0)


@lru_cache(maxsize=1024)
def _verdict(reasons: tuple[str, ...], hopeless: bool) -> Status:
    return Status(Code.UNRESOLVABLE if hopeless else Code.UNSCHEDULABLE, reasons, _FIT)


class BalancedAllocation:
    name = _BALANCED
    local = True

    def __init__(self, resources: Weights = EVEN) -> None:
        self._resources = [name for name, _ in resources]
        self._plain = self._resources == ["cpu", "memory"]

    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None:
        """A pod that requests nothing changes no balance."""
        return None if any(pod.requests.get(name) for name in self._resources) else SKIP

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """50 for a node that stays as even as it is, up to 100 for one that becomes so, down to 0 for the opposite."""
        if self._plain and node.cpu and node.memory:
            return _of_two(pod, node)
        before, after = [], []
        for name in self._resources:
            wanted = pod.requests.get(name, 0)
            if name == "cpu":
                used, capacity = node.requested_cpu, node.cpu
            elif name == "memory":
                used, capacity = node.requested_memory, node.memory
            else:
                used, capacity = node.requested.get(name, 0), node.allocatable.get(name, 0)
                capacity = capacity if wanted or name in _NATIVE else 0
            if capacity:
                before.append(min(1.0, used / capacity))
                after.append(min(1.0, (used + wanted) / capacity))
        half = MAX_SCORE // 2
        return half + int((half + _evenness(after) - _evenness(before)) / 2)


def _of_two(pod: PodInfo, node: NodeInfo) -> int:
    """The balance of cpu and memory, which nearly everybody has, written out."""
    cpu, memory = node.requested_cpu / node.cpu, node.requested_memory / node.memory
    new_cpu = (node.requested_cpu + pod.cpu) / node.cpu
    new_memory = (node.requested_memory + pod.memory) / node.memory
    if new_cpu > 1 or new_memory > 1:
        cpu, memory, new_cpu, new_memory = min(1.0, cpu), min(1.0, memory), min(1.0, new_cpu), min(1.0, new_memory)
    gain = int((1 - abs(new_cpu - new_memory) / 2) * MAX_SCORE) - int((1 - abs(cpu - memory) / 2) * MAX_SCORE)
    return MAX_SCORE // 2 + int((MAX_SCORE // 2 + gain) / 2)


def _evenness(shares: Sequence[float]) -> int:
    """100 less the standard deviation in percent."""
    if len(shares) == 2:
        deviation = abs(shares[0] - shares[1]) / 2
    elif len(shares) > 2:
        mean = sum(shares) / len(shares)
        deviation = math.sqrt(sum((share - mean) ** 2 for share in shares) / len(shares))
    else:
        deviation = 0.0
    return int((1 - deviation) * MAX_SCORE)
