"""VolumeZone: a volume that carries zone or region labels can be used only on nodes that carry one of theirs.

Volumes of today say so by node affinity (VolumeBinding); the labels are those of older provisioners.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from minik8s.api.nodes import REGION, ZONE
from minik8s.api.volumes import claims_of
from minik8s.machinery.meta import labels_of, name_of, namespace_of
from minik8s.scheduler.framework import SKIP, Code, CycleState, Event, PreFilterResult, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.volumes import Volumes

NAME = "VolumeZone"
_ELSEWHERE = Status(Code.UNRESOLVABLE, ("node(s) had no available volume zone",), NAME)
_TODAY = {
    "failure-domain.beta.kubernetes.io/zone": ZONE,
    "failure-domain.beta.kubernetes.io/region": REGION,
}
LABELS = (*_TODAY, *_TODAY.values())

Zones: TypeAlias = list[tuple[str, frozenset[str]]]
"""Label key, and the values that will do; a label lists several with `__` between."""


class VolumeZone:
    name = NAME
    local = False
    events = Event.NODE_ADD | Event.NODE_LABEL | Event.VOLUME

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        """The zones of the volumes of bound claims; unbound and missing ones are VolumeBinding's matter."""
        zones: Zones = []
        for key in claims_of(pod.doc) if pod.spec.get("volumes") else ():
            claim = self._volumes.claim(key)
            volume = self._volumes.volume((claim or {}).get("spec", {}).get("volumeName") or "")
            labels = labels_of(volume) if volume is not None else {}
            zones += [(label, frozenset(labels[label].split("__"))) for label in LABELS if label in labels]
        if not zones:
            return SKIP
        state.data[NAME] = zones
        return None

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        """A node without any such label is in no zone, and takes all."""
        if not any(label in node.labels for label in LABELS):
            return None
        for label, values in state.data[NAME]:
            found = node.labels.get(label) or node.labels.get(_TODAY.get(label, label))
            if found not in values:
                return _ELSEWHERE
        return None

    def hint(self, pod: PodInfo, event: Event, subject: Any) -> bool:
        """A claim of another pod is no news."""
        if event & Event.VOLUME and subject.get("kind") == "PersistentVolumeClaim":
            return (namespace_of(subject), name_of(subject)) in set(claims_of(pod.doc))
        return True
