"""In-place resize as data: what a pod was allocated, whether its node can give it what it wants, who comes first.

Pure. A pod's spec says what it wants; its *allocation* is what the node has granted, by which its containers live until
a resize is granted. Upstream: pkg/kubelet/allocation and pkg/kubelet/events/resize.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from minik8s.api.pods import in_units, is_sidecar, pod_limits, pod_requests, qos_class, quantities
from minik8s.api.resizing import DEFERRED, INFEASIBLE
from minik8s.kubelet.admission import Claim, admit
from minik8s.machinery.meta import Doc, Obj

Allocation: TypeAlias = Mapping[str, Doc]
"""Resources by the name of a container that can be resized; under `WHOLE` the pod's own."""

WHOLE = ""
_FIELDS = ("initContainers", "containers")
_NOTHING: Doc = {}


@attrs.frozen
class Refusal:
    """Why a resize is not granted: `reason` Deferred or Infeasible, and the message of the condition."""

    reason: str
    message: str


def allocation_of(spec: Doc) -> Allocation:
    """What a spec asks for: app containers and sidecars, and the pod as a whole."""
    resizable = [c for c in spec.get("initContainers") or () if is_sidecar(c)] + [*spec["containers"]]
    allocation = {container["name"]: container.get("resources") or _NOTHING for container in resizable}
    if spec.get("resources"):
        allocation[WHOLE] = spec["resources"]
    return allocation


def allocated(pod: Doc, allocation: Allocation) -> Doc:
    """The pod with the resources that it was allocated; the same object when it wants no others."""
    spec = pod["spec"]
    if allocation == allocation_of(spec):
        return pod
    changed: Obj = {
        field: [_with(container, allocation.get(container["name"])) for container in spec[field]]
        for field in _FIELDS
        if spec.get(field)
    }
    whole = allocation.get(WHOLE)
    return {**pod, "spec": _with({**spec, **changed}, _NOTHING if whole is None else whole)}


def _with(holder: Doc, resources: Doc | None) -> Doc:
    if resources is None or resources == (holder.get("resources") or _NOTHING):
        return holder
    if resources:
        return {**holder, "resources": resources}
    return {key: value for key, value in holder.items() if key != "resources"}


def restored(pod: Doc) -> Allocation:
    """What an earlier kubelet has granted, as the pod's status says; where that is silent, what the spec wants."""
    status = pod.get("status") or {}
    allocation = dict(allocation_of(pod["spec"]))
    for field in ("initContainerStatuses", "containerStatuses"):
        for known in status.get(field) or ():
            name = known["name"]
            if name in allocation and "resources" in known:
                allocation[name] = _granted(allocation[name], known)
    return allocation


def _granted(wanted: Doc, status: Doc) -> Doc:
    parts = {"requests": status.get("allocatedResources"), "limits": status["resources"].get("limits")}
    changed = {part: amounts for part, amounts in parts.items() if amounts and amounts != wanted.get(part)}
    return {**wanted, **changed} if changed else wanted


def refusal(pod: Doc, claim: Claim, others: Iterable[Claim], node: Doc) -> Refusal | None:
    """Why the node cannot give a pod what it wants, None if it can; `others` are the claims of its other pods."""
    capacity = in_units(quantities((node.get("status") or {}).get("allocatable")))
    for name in ("memory", "cpu"):
        requested, there = claim.requests.get(name, 0), capacity.get(name, 0)
        if requested > there:
            text = f"Node didn't have enough capacity: {name}, requested: {requested}, capacity: {there}"
            return Refusal(INFEASIBLE, text)
    rejection = admit(pod, claim, others, node)
    return None if rejection is None else Refusal(DEFERRED, rejection.message)


def turn(pod: Doc, allocation: Allocation, since: str | None) -> tuple[bool, int, bool, bool, str]:
    """Sorts resizes that wait: those that take nothing, by priority, Guaranteed pods, the one that waits longest.

    `since` is when it began to wait, None for one that has not been looked at yet.
    """
    was, wants = (in_units(pod_requests(p)) for p in (allocated(pod, allocation), pod))
    takes = any(wants.get(name, 0) > was.get(name, 0) for name in ("cpu", "memory"))
    priority = int(pod["spec"].get("priority") or 0)
    return takes, -priority, qos_class(pod) != "Guaranteed", since is None, since or ""


def must_restart(was: Doc, now: Doc, container: Doc) -> bool:
    """Whether a container starts anew for other resources than those with which it runs: as its resizePolicy says.

    A request of memory is no matter for a running container.
    """
    restarting = {
        policy.get("resourceName")
        for policy in container.get("resizePolicy") or ()
        if policy.get("restartPolicy") == "RestartContainer"
    }
    compared = (("limits", "cpu"), ("limits", "memory"), ("requests", "cpu"))
    return any(
        (was.get(part) or {}).get(name) != (now.get(part) or {}).get(name)
        for part, name in compared
        if name in restarting
    )


@attrs.frozen
class Shrinking:
    """A memory limit that a resize sets, in bytes: of the container `name`, or of the pod; and what is used now."""

    name: str
    was: int | None
    limit: int | None
    usage: int


def too_small(limits: Iterable[Shrinking]) -> str:
    """Why limits cannot be lowered: more is used than they would allow; "" when they can."""
    problems = []
    for s in limits:
        if s.limit is not None and (s.was is None or s.limit < s.was) and s.usage >= s.limit:
            who = f'container "{s.name}"' if s.name else "pod"
            problems.append(f"attempting to set {who} memory limit ({s.limit}) below current usage ({s.usage})")
    if not problems:
        return ""
    listed = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    return f"cannot decrease memory limits: {listed}"


def summary(what: str, pod: Doc, generation: int, error: str = "") -> str:
    """The message of an event about a resize: `what`, and as JSON the resources that it is about."""
    said: dict[str, Any] = {}
    for field in _FIELDS:
        if containers := pod["spec"].get(field):
            said[field] = [{"name": c["name"], "resources": _ordered(c.get("resources") or {})} for c in containers]
    said["generation"] = generation
    if error:
        said["error"] = error
    return f"{what}: {json.dumps(said, separators=(',', ':'))}"


def _ordered(resources: Doc) -> Obj:
    return {part: dict(sorted(resources[part].items())) for part in ("limits", "requests") if resources.get(part)}


def totals(pod: Doc) -> Obj:
    """What a pod takes from its node, as its status says it: allocatedResources and resources, as far as there are."""
    spec = pod["spec"]
    holders = (spec, *spec["containers"], *(spec.get("initContainers") or ()))
    if not spec.get("overhead") and not any(holder.get("resources") for holder in holders):
        return {}
    requests, limits = ({k: str(v) for k, v in sorted(of(pod).items())} for of in (pod_requests, pod_limits))
    resources = {part: amounts for part, amounts in (("limits", limits), ("requests", requests)) if amounts}
    said = {"allocatedResources": requests, "resources": resources}
    return {field: amounts for field, amounts in said.items() if amounts}
