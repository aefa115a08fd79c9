"""NodeUnschedulable: cordoned nodes take only pods that tolerate the taint node.kubernetes.io/unschedulable."""

from __future__ import annotations

from minik8s.api.scheduling import tolerates
from minik8s.scheduler.framework import Code, CycleState, Event, Status
from minik8s.scheduler.info import NodeInfo, PodInfo

TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_CORDONED = Status(Code.UNRESOLVABLE, ("node(s) were unschedulable",), "NodeUnschedulable")


class NodeUnschedulable:
    name = "NodeUnschedulable"
    local = True
    events = Event.NODE_ADD | Event.NODE_TAINT

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        if not node.unschedulable or any(tolerates(t, TAINT) for t in pod.spec.get("tolerations") or ()):
            return None
        return _CORDONED

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        return isinstance(subject, NodeInfo) and self.filter(CycleState(), pod, subject) is None
