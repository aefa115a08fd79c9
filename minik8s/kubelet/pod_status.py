"""A pod's status as a whole, and the patch that brings the API's copy there.

`PodView` is what a worker knows at one moment; `pod_status` turns it into the status document (upstream's
generateAPIPodStatus), `status_patch` into the smallest strategic merge patch (upstream's PatchPodStatus).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from minik8s.api.pods import TERMINAL
from minik8s.api.resizing import IN_PROGRESS, PENDING
from minik8s.kubelet.conditions import pod_conditions, with_times
from minik8s.kubelet.container_status import ContainerRecord, container_status, unknown_state
from minik8s.kubelet.phase import by_name, has_initialized, pod_phase
from minik8s.machinery.meta import Doc, Obj, uid_of

OWNED = (
    "observedGeneration",
    "phase",
    "message",
    "reason",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
    "allocatedResources",
    "resources",
)
"""The fields of a pod's status that are the kubelet's to set or to remove; conditions are merged by type."""

EVICTED = "Evicted"
TERMINATED = "Terminated"
"""By the shutdown of the node."""
_DISRUPTION = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
"""Tells Jobs that the failure of such a pod was not its own."""
_PASSING = (PENDING, IN_PROGRESS)
"""Conditions of the kubelet that are taken away when they are over."""
_REPLACED = ("hostIPs", "podIPs")
"""Lists that a strategic merge would merge although the kubelet's word is final."""


@attrs.frozen
class PodView:
    """What a kubelet knows of a pod at one moment.

    `ended`: no container will be started again and none runs. `failure` is a reason and message for the pod as a whole,
    which is its `own_fault` if it was evicted for what it did.
    `restarting`: all containers are being ended, to be started anew. `totals` are its allocatedResources and resources,
    `resizing` the conditions of its resize.
    """

    pod: Doc
    records: Mapping[str, ContainerRecord]
    start_time: str
    host_ip: str
    pod_ips: tuple[str, ...] = ()
    sandbox_ready: bool = False
    initialized: bool = False
    ended: bool = False
    failure: tuple[str, str] | None = None
    own_fault: bool = False
    restarting: bool = False
    totals: Doc = attrs.field(factory=dict)
    resizing: Sequence[Doc] = ()


def pod_status(view: PodView, previous: Doc, now: str) -> Obj:
    """The status; `previous` is the last known one, from which transition times and a terminal phase are kept."""
    spec = view.pod["spec"]
    waiting = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
    inits, apps, ephemeral = (
        _statuses(spec.get(field) or (), view.records, waiting)
        for field in ("initContainers", "containers", "ephemeralContainers")
    )
    statuses = by_name(inits, apps)
    initialized = view.initialized or has_initialized(spec, statuses)
    if view.ended and initialized:
        apps = [_lost_if_waiting(status) for status in apps]
        statuses = by_name(inits, apps)
    phase = _phase(view, statuses, previous, initialized)
    conditions = pod_conditions(
        view.pod,
        statuses,
        phase=phase,
        sandbox_ready=view.sandbox_ready,
        initialized=initialized,
        restarting=view.restarting,
    )
    if view.failure and view.failure[0] in (EVICTED, TERMINATED) and not view.own_fault:
        conditions.append({**_DISRUPTION, "message": view.failure[1]})
    timed = with_times(conditions, previous.get("conditions"), now)
    status: Obj = {"phase": phase, "conditions": [*view.resizing, *timed]}
    if generation := view.pod["metadata"].get("generation"):
        status["observedGeneration"] = generation
    if view.failure:
        status["reason"], status["message"] = view.failure
    status |= {"hostIP": view.host_ip, "hostIPs": [{"ip": view.host_ip}], "startTime": view.start_time}
    if view.pod_ips:
        status |= {"podIP": view.pod_ips[0], "podIPs": [{"ip": ip} for ip in view.pod_ips]}
    named = {"initContainerStatuses": inits, "containerStatuses": apps, "ephemeralContainerStatuses": ephemeral}
    return {**status, **{field: listed for field, listed in named.items() if listed}, **view.totals}


def rejected_status(pod: Doc, reason: str, message: str, now: str) -> Obj:
    """The status of a pod that the node does not admit."""
    status: Obj = {"phase": "Failed", "reason": reason, "message": f"Pod was rejected: {message}", "startTime": now}
    if generation := pod["metadata"].get("generation"):
        status["observedGeneration"] = generation
    return status


def status_patch(pod: Doc, desired: Doc) -> Obj | None:
    """The strategic merge patch of pods/status from what `pod` says to `desired`, None when they agree.

    It names the uid, so that a namesake is not patched by mistake.
    """
    current = pod.get("status") or {}
    changes: Obj = {}
    for field in OWNED:
        if field in desired and desired[field] != current.get(field):
            changes[field] = desired[field]
            if field in _REPLACED and current.get(field):
                changes[field] = [*desired[field], {"$patch": "replace"}]
        elif field in current and field not in desired:
            changes[field] = None
    changes |= _condition_changes(current.get("conditions") or (), desired.get("conditions") or ())
    return {"metadata": {"uid": uid_of(pod)}, "status": changes} if changes else None


def _condition_changes(current: Sequence[Doc], desired: Sequence[Doc]) -> Obj:
    have = {condition["type"]: condition for condition in current}
    types = [c["type"] for c in desired]
    over = [type_ for type_ in _PASSING if type_ in have and type_ not in types]
    changed = [c for c in desired if not _same(have.get(c["type"]), c)]
    if not changed and not over:
        return {}
    order = types + [type_ for type_ in have if type_ not in types and type_ not in over]
    return {
        "$setElementOrder/conditions": [{"type": type_} for type_ in order],
        "conditions": [_whole(c, have.get(c["type"])) for c in changed]
        + [{"$patch": "delete", "type": type_} for type_ in over],
    }


def _same(current: Doc | None, desired: Doc) -> bool:
    """Whether the fields agree, an absent one being the same as null."""
    if current is None:
        return False
    return all(current.get(key) == desired.get(key) for key in {*current, *desired})


def _whole(desired: Doc, current: Doc | None) -> Obj:
    removed: dict[str, Any] = {key: None for key in current or () if key not in desired}
    return {**removed, **desired}


def _statuses(containers: Sequence[Doc], records: Mapping[str, ContainerRecord], waiting: str) -> list[Obj]:
    known = [container for container in containers if container["name"] in records]
    return [container_status(container, records[container["name"]], waiting) for container in known]


def _phase(view: PodView, statuses: Mapping[str, Doc], previous: Doc, initialized: bool) -> str:
    if previous.get("phase") in TERMINAL:
        return str(previous["phase"])
    if view.failure and view.ended:
        return "Failed"
    phase = pod_phase(view.pod["spec"], statuses, ended=view.ended, initialized=initialized)
    if view.ended and phase not in TERMINAL:
        return "Failed"
    if phase in TERMINAL and not view.ended:
        return str(previous.get("phase") or "Pending")  # terminal only when nothing runs any more
    return phase


def _lost_if_waiting(status: Obj) -> Obj:
    if "waiting" not in status["state"]:
        return status
    return {**status, "state": {"terminated": unknown_state()}}
