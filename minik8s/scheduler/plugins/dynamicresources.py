"""DynamicResources: devices by resource claims are not handed out here, and a pod that wants some is told so.

Without this verdict such a pod would start without its devices. Upstream's plugin allocates them.
"""

from __future__ import annotations

from minik8s.scheduler.framework import SKIP, Code, CycleState, Event, PreFilterResult, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo

NAME = "DynamicResources"


class DynamicResources:
    name = NAME
    local = True
    events = Event(0)

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        claims = pod.spec.get("resourceClaims")
        if not claims:
            return SKIP
        names = ", ".join(claim.get("name", "") for claim in claims)
        why = f"dynamic resource allocation is not supported: the pod has resourceClaims [{names}]"
        return Status(Code.UNRESOLVABLE, (why,), NAME)

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        return False
