"""NodeVolumeLimits: a node takes no more volumes of a CSI driver than its CSINode says it can attach.

Counted are the volumes of the pods on the node, each once however many pods share it. A claim without a volume yet
counts as one of its class's provisioner. Upstream: `framework/plugins/nodevolumelimits/csi.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from minik8s.api.volumes import ClaimKey, claims_of, class_of
from minik8s.machinery.meta import Doc, name_of, namespace_of
from minik8s.scheduler.framework import SKIP, Code, CycleState, Event, PreFilterResult, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.volumes import Volumes

NAME = "NodeVolumeLimits"
_TOO_MANY = Status(Code.UNSCHEDULABLE, ("node(s) exceed max volume count",), NAME)


class NodeVolumeLimits:
    name = NAME
    local = False
    events = Event.NODE_ADD | Event.POD_DELETE | Event.VOLUME

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        wanted = dict(self._attached(pod.doc)) if pod.spec.get("volumes") else {}
        if not wanted:
            return SKIP
        state.data[NAME] = wanted
        return None

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        limits = self._volumes.limits(node.name)
        if not limits:
            return None
        held: dict[str, str] = {}
        for other in node.pods.values():
            if other.spec.get("volumes"):
                held.update(self._attached(other.doc))
        wanted: dict[str, str] = state.data[NAME]
        new = Counter(driver for volume, driver in wanted.items() if volume not in held)
        used = Counter(held.values())
        return _TOO_MANY if any(used[d] + number > limits[d] for d, number in new.items() if d in limits) else None

    def _attached(self, pod: Doc) -> Iterator[tuple[str, str]]:
        """What of a pod has to be attached: an identity of the volume, and its driver."""
        for volume in pod["spec"].get("volumes") or ():
            if driver := (volume.get("csi") or {}).get("driver"):
                yield f"{pod['metadata'].get('uid', '')}/{volume['name']}", driver
        for key in claims_of(pod):
            yield from self._of_claim(key)

    def _of_claim(self, key: ClaimKey) -> Iterator[tuple[str, str]]:
        claim = self._volumes.claim(key)
        if claim is None:
            return
        if name := claim["spec"].get("volumeName"):
            csi = ((self._volumes.volume(name) or {}).get("spec") or {}).get("csi")
            if csi:
                yield f"{csi['driver']}/{csi.get('volumeHandle', '')}", csi["driver"]
            return
        storage_class = self._volumes.storage_class(class_of(claim))
        if storage_class is not None:
            yield f"{key[0]}/{key[1]}", storage_class["provisioner"]

    def hint(self, pod: PodInfo, event: Event, subject: Any) -> bool:
        """The end of a pod with volumes; a claim of this pod's; a node that says what it can attach."""
        if isinstance(subject, PodInfo):
            return bool(subject.spec.get("volumes"))
        if event & Event.VOLUME and subject.get("kind") == "PersistentVolumeClaim":
            return (namespace_of(subject), name_of(subject)) in set(claims_of(pod.doc))
        return not event & Event.VOLUME or subject.get("kind") == "CSINode"
