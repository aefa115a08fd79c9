"""NodeName: a pod that names its node fits only there."""

from __future__ import annotations

from minik8s.scheduler.framework import SKIP, Code, CycleState, Event, PreFilterResult, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo

_WRONG = Status(Code.UNRESOLVABLE, ("node(s) didn't match the requested node name",), "NodeName")


class NodeName:
    name = "NodeName"
    local = True
    events = Event.NODE_ADD

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        return None if pod.node_name else SKIP

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        return None if pod.node_name == node.name else _WRONG

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        return isinstance(subject, NodeInfo) and subject.name == pod.node_name
