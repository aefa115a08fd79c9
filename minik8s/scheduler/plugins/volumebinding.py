"""VolumeBinding: a pod goes where its volumes can be reached, found or made.

Claims that are bound limit the nodes; claims that wait for their first consumer get a volume chosen with the node, or a
provisioner asked for one there; any other claim has to be bound before its pod can be scheduled. Upstream:
`framework/plugins/volumebinding`.
"""

from __future__ import annotations

from typing import Any

import attrs

from minik8s.api.volumes import (
    NO_PROVISIONER,
    SELECTED_NODE,
    admits,
    best_volume,
    claims_of,
    class_of,
    is_bound,
    is_delayed,
    reaches,
)
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, annotations_of, controller_of, is_terminating, name_of, namespace_of, uid_of
from minik8s.scheduler.framework import SKIP, Code, CycleState, Event, PreFilterResult, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.volumes import BIND_SECONDS, BindingFailed, VolumePlan, Volumes

NAME = "VolumeBinding"
_NODE_CONFLICT = Status(Code.UNRESOLVABLE, ("node(s) didn't match PersistentVolume's node affinity",), NAME)
_BIND_CONFLICT = Status(Code.UNRESOLVABLE, ("node(s) didn't find available persistent volumes to bind",), NAME)
_IMMEDIATE = "pod has unbound immediate PersistentVolumeClaims"


def _refused(why: str) -> Status:
    return Status(Code.UNRESOLVABLE, (why,), NAME)


@attrs.define
class _Claims:
    """A pod's claims, sorted by what they need; `plans` has what each node that passed would take."""

    bound: list[Doc]
    delayed: list[tuple[Doc, Doc]]
    plans: dict[str, VolumePlan] = attrs.field(factory=dict)


class VolumeBinding:
    name = NAME
    local = False
    events = Event.VOLUME | Event.NODE_ADD | Event.NODE_LABEL

    def __init__(self, volumes: Volumes, seconds: float = BIND_SECONDS) -> None:
        self._volumes = volumes
        self._seconds = seconds

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        keys = list(claims_of(pod.doc)) if pod.spec.get("volumes") else []
        if not keys:
            return SKIP
        found = _Claims([], [])
        for namespace, name in keys:
            claim = self._volumes.claim((namespace, name))
            if status := self._unusable(pod, name, claim):
                return status
            assert claim is not None
            if status := self._sort(claim, found):
                return status
        state.data[NAME] = found
        return None

    def _unusable(self, pod: PodInfo, name: str, claim: Doc | None) -> Status | None:
        ephemeral = any(
            "ephemeral" in volume and name == f"{name_of(pod.doc)}-{volume['name']}"
            for volume in pod.spec.get("volumes") or ()
        )
        if claim is None:
            if ephemeral:
                return _refused(f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"')
            return _refused(f'persistentvolumeclaim "{name}" not found')
        if is_terminating(claim):
            return _refused(f'persistentvolumeclaim "{name}" is being deleted')
        if (claim.get("status") or {}).get("phase") == "Lost":
            return _refused(
                f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume '
                f'"{claim["spec"].get("volumeName", "")}"'
            )
        owner = controller_of(claim)
        if ephemeral and (owner is None or owner["uid"] != uid_of(pod.doc)):
            where = f"{namespace_of(claim)}/{name}"
            return _refused(f"PVC {where} was not created for pod {pod.key} (pod is not owner)")
        return None

    def _sort(self, claim: Doc, found: _Claims) -> Status | None:
        storage_class = self._volumes.storage_class(class_of(claim))
        if is_bound(claim):
            found.bound.append(claim)
        elif storage_class is not None and is_delayed(storage_class) and not claim["spec"].get("volumeName"):
            found.delayed.append((claim, storage_class))
        else:
            return _refused(_IMMEDIATE)
        return None

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        found: _Claims = state.data[NAME]
        for claim in found.bound:
            volume = self._volumes.volume(claim["spec"]["volumeName"])
            if volume is None:
                return _refused("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)")
            if not reaches(volume, node.name, node.labels):
                return _NODE_CONFLICT
        plan = self._plan(found, node)
        if plan is None:
            return _BIND_CONFLICT
        found.plans[node.name] = plan
        return None

    def _plan(self, found: _Claims, node: NodeInfo) -> VolumePlan | None:
        """How the delayed claims would be served on the node, None when they cannot be."""
        bindings: list[tuple[Doc, Doc]] = []
        provisions: list[Doc] = []
        taken: set[str] = set()
        for claim, storage_class in found.delayed:
            selected = annotations_of(claim).get(SELECTED_NODE)
            if selected:  # a provisioner is at it: nowhere else will do
                if selected != node.name:
                    return None
                provisions.append(claim)
                continue
            free = [volume for volume in self._volumes.free_for(claim) if name_of(volume) not in taken]
            volume = best_volume(claim, free, node=(node.name, node.labels))
            if volume is not None:
                taken.add(name_of(volume))
                bindings.append((claim, volume))
            elif storage_class["provisioner"] != NO_PROVISIONER and admits(storage_class, node.labels):
                provisions.append(claim)
            else:
                return None
        return VolumePlan(tuple(bindings), tuple(provisions))

    def reserve(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        if (plan := self._chosen(state, node)) is not None:
            self._volumes.assume(plan)
            state.slow = bool(plan)
        return None

    def unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        if (plan := self._chosen(state, node)) is not None:
            self._volumes.forget(plan)

    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        """Binds the claims; returns when they are bound."""
        plan = self._chosen(state, node)
        if not plan:
            return None
        try:
            await self._volumes.bind(plan, node, self._seconds)
        except (BindingFailed, ApiError, OSError) as error:
            return Status(Code.ERROR, (str(error),), NAME)
        self._volumes.forget(plan)
        return None

    def _chosen(self, state: CycleState, node: str) -> VolumePlan | None:
        found: _Claims | None = state.data.get(NAME)
        return None if found is None else found.plans.get(node)

    def hint(self, pod: PodInfo, event: Event, subject: Any) -> bool:
        """A claim of another pod is no news; any volume, class or node may be."""
        if event & Event.VOLUME and subject.get("kind") == "PersistentVolumeClaim":
            return (namespace_of(subject), name_of(subject)) in set(claims_of(pod.doc))
        return True
