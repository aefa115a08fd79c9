"""NodePorts: two pods on one node cannot have the same host port on overlapping addresses."""

from __future__ import annotations

from minik8s.api.pods import ports_collide
from minik8s.scheduler.framework import SKIP, Code, CycleState, Event, PreFilterResult, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo

_TAKEN = Status(Code.UNSCHEDULABLE, ("node(s) didn't have free ports for the requested pod ports",), "NodePorts")


class NodePorts:
    name = "NodePorts"
    local = True
    events = Event.NODE_ADD | Event.POD_DELETE

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        return None if pod.ports else SKIP

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        return _TAKEN if any(ports_collide(wanted, used) for wanted in pod.ports for used in node.ports) else None

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        """A new node, or the end of a pod that held one of the ports."""
        if isinstance(subject, NodeInfo):
            return True
        return any(ports_collide(wanted, freed) for wanted in pod.ports for freed in subject.ports)
