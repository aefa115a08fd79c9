"""What a pod counts for while it is resized in place: the largest of what it wants, was granted, and still has.

Scheduler and quota must not give away what a kubelet has granted but not taken yet, nor what it has not given up yet.
Upstream: k8s.io/component-helpers/resource (UseStatusResources).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.pods import ResourceAmounts, quantities, raise_to
from minik8s.machinery.meta import Doc, find_condition

PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
DEFERRED, INFEASIBLE = "Deferred", "Infeasible"
_STATUSES = (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses"))


def resizes(pod: Doc) -> bool:
    """Whether an in-place resize is under way: something has other resources than the spec asks for."""
    return bool(pod.get("status")) and effective_spec(pod) is not pod.get("spec")


def is_infeasible(pod: Doc) -> bool:
    """Whether the kubelet says that its node can never give the pod what it wants."""
    pending = find_condition((pod.get("status") or {}).get("conditions"), PENDING)
    return pending is not None and pending.get("reason") == INFEASIBLE


def effective_spec(pod: Doc) -> Doc:
    """The pod's spec with resources raised to what was allocated and what is still there.

    A wish that the kubelet calls infeasible does not count at all. The same object while nothing is being resized.
    """
    spec: Doc = pod.get("spec") or {}
    status = pod.get("status") or {}
    changed: dict[str, Any] = {}
    for field, statuses in _STATUSES:
        known = {c.get("name"): c for c in status.get(statuses) or () if "allocatedResources" in c or "resources" in c}
        if not known:
            continue
        containers = [_effective(c, known.get(c["name"]), pod) for c in spec.get(field) or ()]
        if any(new is not old for new, old in zip(containers, spec.get(field) or (), strict=True)):
            changed[field] = containers
    if spec.get("resources") and "resources" in status:
        whole = _effective(spec, _without_overhead(status, spec), pod)
        if whole is not spec:
            changed["resources"] = whole["resources"]
    return {**spec, **changed} if changed else spec


def _effective(holder: Doc, status: Doc | None, pod: Doc) -> Doc:
    """A container, or a spec with the pod's own resources, as it counts."""
    if status is None:
        return holder
    wanted = holder.get("resources") or {}
    actual = status.get("resources") or {}
    parts = {
        "requests": (wanted.get("requests"), status.get("allocatedResources"), actual.get("requests")),
        "limits": (wanted.get("limits"), actual.get("limits"), None),
    }
    changed: dict[str, Any] = {}
    for part, (asked, *granted) in parts.items():
        if all(given is None or given == asked for given in granted):
            continue
        total: ResourceAmounts = {}
        for given in granted:
            raise_to(total, quantities(given))
        if not is_infeasible(pod):
            raise_to(total, quantities(asked))
        if total != quantities(asked):
            changed[part] = {name: str(amount) for name, amount in total.items()}
    return {**holder, "resources": {**wanted, **changed}} if changed else holder


def _without_overhead(status: Doc, spec: Doc) -> Doc:
    """A pod's status counts what it takes on its node, its spec what its containers may use."""
    overhead = quantities(spec.get("overhead"))
    own = {*(spec["resources"].get("requests") or {}), *(spec["resources"].get("limits") or {})}

    def less(listed: Mapping[str, Any] | None) -> dict[str, str] | None:
        if listed is None:
            return None
        amounts = {name: amount for name, amount in quantities(listed).items() if name in own}
        return {name: str(a - overhead[name] if name in overhead else a) for name, a in amounts.items()}

    resources = {part: less(amounts) for part, amounts in (status.get("resources") or {}).items()}
    return {"resources": resources, "allocatedResources": less(status.get("allocatedResources"))}
