"""The condition DisruptionAllowed of a PodDisruptionBudget, which its controller and the eviction of a pod both keep.

Upstream: `k8s.io/component-helpers/apps/poddisruptionbudget`.
"""

from __future__ import annotations

from datetime import datetime

from minik8s.machinery.meta import Doc, Obj, rfc3339, set_condition

ALLOWED = "DisruptionAllowed"
SYNC_FAILED = "SyncFailed"


def with_allowed(status: Doc, now: datetime) -> Obj:
    """The status with the condition that follows from its disruptionsAllowed."""
    state = ("True", "SufficientPods") if status.get("disruptionsAllowed", 0) > 0 else ("False", "InsufficientPods")
    return _with(status, *state, "", now)


def with_failure(status: Doc, message: str, now: datetime) -> Obj:
    """The status when nothing can be computed: nobody may be disrupted."""
    return _with({**status, "disruptionsAllowed": 0}, "False", SYNC_FAILED, message, now)


def _with(status: Doc, value: str, reason: str, message: str, now: datetime) -> Obj:
    new: Obj = {"type": ALLOWED, "status": value, "reason": reason, "message": message}
    if generation := status.get("observedGeneration"):
        new["observedGeneration"] = generation
    return {**status, "conditions": set_condition(status.get("conditions"), new, rfc3339(now))}
