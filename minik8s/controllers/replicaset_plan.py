"""What a ReplicaSet needs done, as a pure function; ReplicationControllers are the same under an older name.

Upstream: `pkg/controller/replicaset/replica_set.go` and `replica_set_utils.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from minik8s.controllers.pods import available_in, deletion_order, is_active, is_stopping
from minik8s.machinery.meta import Doc, Obj, find_condition, is_terminating, labels_of, rfc3339

REPLICA_FAILURE = "ReplicaFailure"
BURST = 500
"""At most so many creations or deletions in one pass (BurstReplicas)."""


@attrs.frozen
class Plan:
    """`status` is what to say first; then create so many pods, or delete these.

    `recheck` is in how many seconds a ready pod becomes available, None when none will by itself.
    """

    status: Obj
    create: int = 0
    delete: tuple[Doc, ...] = ()
    recheck: float | None = None


def plan(rs: Doc, pods: Sequence[Doc], related: Sequence[Doc], now: datetime) -> Plan:
    """`pods` are those it controls, `related` those of its siblings too (all ReplicaSets of the same Deployment)."""
    active = [pod for pod in pods if is_active(pod)]
    status, recheck = compute_status(rs, pods, active, now)
    if is_terminating(rs):
        return Plan(status, recheck=recheck)
    missing = desired(rs) - len(active)
    if missing >= 0:
        return Plan(status, create=min(missing, BURST), recheck=recheck)
    surplus = min(-missing, BURST)
    doomed = active if surplus == len(active) else deletion_order(active, related, now)[:surplus]
    return Plan(status, delete=tuple(doomed), recheck=recheck)


def desired(rs: Doc) -> int:
    """`spec.replicas`, 1 when unset."""
    replicas = rs["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def compute_status(rs: Doc, pods: Sequence[Doc], active: Sequence[Doc], now: datetime) -> tuple[Obj, float | None]:
    """The status as these pods make it, and when time alone will change it (seconds)."""
    spec = rs["spec"]
    template_labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    wanted = template_labels.items()
    waits = [available_in(pod, spec.get("minReadySeconds") or 0, now) for pod in active]
    ready = [wait for wait in waits if wait is not None]
    soon = [wait for wait in ready if wait]
    counts = {
        "fullyLabeledReplicas": len([1 for pod in active if wanted <= labels_of(pod).items()]),
        "readyReplicas": len(ready),
        "availableReplicas": len(ready) - len(soon),
    }
    status: Obj = {"replicas": len(active), **{name: count for name, count in counts.items() if count}}
    if rs["kind"] == "ReplicaSet":
        status["terminatingReplicas"] = sum(map(is_stopping, pods))
    if generation := rs["metadata"].get("generation"):
        status["observedGeneration"] = generation
    if conditions := (rs.get("status") or {}).get("conditions"):
        status["conditions"] = conditions
    return status, min(soon, default=None)


def with_failure(status: Doc, reason: str, message: str, now: datetime) -> Obj:
    """The status with the condition ReplicaFailure as it should be; no reason means that all went well.

    As upstream, a failure that stands already is not rewritten.
    """
    conditions: Sequence[Doc] = status.get("conditions") or ()
    old = find_condition(conditions, REPLICA_FAILURE)
    if (old is not None) == bool(reason):
        return dict(status)
    kept = [dict(c) for c in conditions if c.get("type") != REPLICA_FAILURE]
    if reason:
        since = rfc3339(now)
        kept.append(
            {
                "type": REPLICA_FAILURE,
                "status": "True",
                "lastTransitionTime": since,
                "reason": reason,
                "message": message,
            }
        )
    result = {key: value for key, value in status.items() if key != "conditions"}
    return {**result, "conditions": kept} if kept else result
