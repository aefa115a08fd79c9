"""TaintToleration: hard taints keep pods off that do not tolerate them, soft ones (PreferNoSchedule) cost points."""

from __future__ import annotations

from collections.abc import Sequence

from minik8s.api.scheduling import tolerates, untolerated
from minik8s.scheduler.framework import SKIP, Code, CycleState, Event, Snapshot, Status, normalize_by_max
from minik8s.scheduler.info import NodeInfo, PodInfo

_TAINTED = Status(Code.UNRESOLVABLE, ("node(s) had untolerated taint(s)",), "TaintToleration")


class TaintToleration:
    name = "TaintToleration"
    local = True
    by_value = True
    events = Event.NODE_ADD | Event.NODE_TAINT

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        if not node.taints or untolerated(node.taints, pod.spec.get("tolerations") or ()) is None:
            return None
        return _TAINTED

    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None:
        """Skips where no node has a soft taint: all nodes would get the same points."""
        if not snapshot.has_soft_taints:
            return SKIP
        tolerations = pod.spec.get("tolerations") or ()
        state.data[self.name] = [t for t in tolerations if t.get("effect") in (None, "", "PreferNoSchedule")]
        return None

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """How many soft taints the pod does not tolerate."""
        tolerations = state.data[self.name]
        return sum(not any(tolerates(t, taint) for t in tolerations) for taint in node.soft_taints)

    def normalize(self, state: CycleState, pod: PodInfo, scores: dict[str, int]) -> None:
        normalize_by_max(scores, reverse=True)

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        return isinstance(subject, NodeInfo) and self.filter(CycleState(), pod, subject) is None
