"""SchedulingGates: a pod with gates is not even looked at until the last one is removed."""

from __future__ import annotations

from minik8s.scheduler.framework import Code, Status
from minik8s.scheduler.info import PodInfo


class SchedulingGates:
    name = "SchedulingGates"
    local = True

    def pre_enqueue(self, pod: PodInfo) -> Status | None:
        gates = pod.spec.get("schedulingGates")
        if not gates:
            return None
        names = " ".join(gate.get("name", "") for gate in gates)
        return Status(Code.UNRESOLVABLE, (f"waiting for scheduling gates: [{names}]",), self.name)
