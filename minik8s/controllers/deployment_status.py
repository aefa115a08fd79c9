"""What a Deployment says of itself: counts, and the conditions Available, Progressing and ReplicaFailure.

Pure. Upstream: `progress.go`, `sync.go` (calculateStatus) and `deployment_util.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from minik8s.controllers.deployment_rollout import Limits, available, total
from minik8s.machinery.meta import Doc, Obj, find_condition, name_of, parse_time, rfc3339, transition_time

NO_DEADLINE = 2**31 - 1
AVAILABLE, PROGRESSING, FAILURE = "Available", "Progressing", "ReplicaFailure"
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"


def condition(type_: str, status: str, reason: str, message: str, now: datetime) -> Obj:
    at = rfc3339(now)
    return {
        "type": type_,
        "status": status,
        "lastUpdateTime": at,
        "lastTransitionTime": at,
        "reason": reason,
        "message": message,
    }


def set_condition(conditions: Sequence[Doc], new: Doc) -> list[Obj]:
    """Replaces the condition of that type at the end of the list, unless status and reason are what they were."""
    old = find_condition(conditions, new["type"])
    if old is not None and (old.get("status"), old.get("reason")) == (new["status"], new["reason"]):
        return [dict(c) for c in conditions]
    since = transition_time(old, new["status"], new["lastTransitionTime"])
    return [*without(conditions, new["type"]), {**new, "lastTransitionTime": since}]


def without(conditions: Sequence[Doc], type_: str) -> list[Obj]:
    return [dict(c) for c in conditions if c.get("type") != type_]


def conditions_of(deployment: Doc) -> Sequence[Doc]:
    return (deployment.get("status") or {}).get("conditions") or ()


def has_deadline(deployment: Doc) -> bool:
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return seconds is not None and seconds != NO_DEADLINE


def counted(deployment: Doc, sets: Sequence[Doc], new: Doc | None, limits: Limits, now: datetime) -> Obj:
    """The status without what progress adds: counts and Available. Zero counts are left out, as on the wire."""
    usable = sum(map(available, sets))
    counts = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": _sum(sets, "replicas"),
        "updatedReplicas": _sum([new], "replicas") if new is not None else 0,
        "readyReplicas": _sum(sets, "readyReplicas"),
        "availableReplicas": usable,
        "unavailableReplicas": max(0, total(sets) - usable),
    }
    status: Obj = {name: count for name, count in counts.items() if count}
    status["terminatingReplicas"] = _sum(sets, "terminatingReplicas")
    if (collisions := (deployment.get("status") or {}).get("collisionCount")) is not None:
        status["collisionCount"] = collisions
    if usable >= limits.fewest_available:
        found = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        found = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    status["conditions"] = set_condition(conditions_of(deployment), condition(AVAILABLE, *found, now))
    return status


def with_progress(
    deployment: Doc, status: Obj, sets: Sequence[Doc], new: Doc | None, limits: Limits, now: datetime
) -> Obj:
    """The status with Progressing and ReplicaFailure as they follow from it."""
    conditions: Sequence[Doc] = status["conditions"]
    old = find_condition(conditions, PROGRESSING)
    if not has_deadline(deployment):
        conditions = without(conditions, PROGRESSING)
    elif not _was_complete(status, old):
        conditions = _progress(deployment, status, conditions, new, limits, now)
    failure = _failure(sets, new)
    conditions = without(conditions, FAILURE) if failure is None else set_condition(conditions, _copied(failure, now))
    return {**status, "conditions": list(conditions)}


def is_complete(deployment: Doc, status: Doc, limits: Limits) -> bool:
    """Everything is updated and available, nothing old is left, and all of it has been observed."""
    counts = [status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas")]
    observed = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return observed and all(count == limits.replicas for count in counts)


def is_progressing(before: Doc, status: Doc) -> bool:
    """Whether anything moved forward: more updated, fewer old, more ready, more available."""

    def old_pods(counts: Doc) -> Any:
        return counts.get("replicas", 0) - counts.get("updatedReplicas", 0)

    grew = any(status.get(n, 0) > before.get(n, 0) for n in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grew or old_pods(status) < old_pods(before)


def paused_or_resumed(deployment: Doc, now: datetime) -> Obj | None:
    """The condition that a change of spec.paused asks for; a missed deadline is not overwritten."""
    if not has_deadline(deployment):
        return None
    old = find_condition(conditions_of(deployment), PROGRESSING)
    reason = old.get("reason") if old is not None else ""
    if reason == TIMED_OUT:
        return None
    if deployment["spec"].get("paused") and reason != PAUSED:
        return condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now)
    if not deployment["spec"].get("paused") and reason == PAUSED:
        return condition(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", now)
    return None


def deadline_in(deployment: Doc, status: Doc, limits: Limits, now: datetime) -> float | None:
    """Seconds until the progress deadline strikes; None when there is nothing to wait for."""
    current = find_condition(status.get("conditions"), PROGRESSING)
    if current is None or not has_deadline(deployment) or current.get("reason") in (TIMED_OUT, COMPLETE):
        return None
    if is_complete(deployment, status, limits) or deployment["spec"].get("paused"):
        return None
    return max(0.0, deployment["spec"]["progressDeadlineSeconds"] - _age(current, now)) + 1.0


def _progress(
    deployment: Doc, status: Doc, conditions: Sequence[Doc], new: Doc | None, limits: Limits, now: datetime
) -> list[Obj]:
    old = find_condition(conditions, PROGRESSING)
    subject = f'Deployment "{name_of(deployment)}"' if new is None else f'ReplicaSet "{name_of(new)}"'
    if is_complete(deployment, status, limits):
        done = condition(PROGRESSING, "True", COMPLETE, f"{subject} has successfully progressed.", now)
        return set_condition(conditions, done)
    if is_progressing(deployment.get("status") or {}, status):
        moving = condition(PROGRESSING, "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
        if old is not None and old.get("status") == "True":
            moving["lastTransitionTime"] = old.get("lastTransitionTime")
        return [*without(conditions, PROGRESSING), moving]
    if _timed_out(deployment, old, now):
        late = condition(PROGRESSING, "False", TIMED_OUT, f"{subject} has timed out progressing.", now)
        return set_condition(conditions, late)
    return [dict(c) for c in conditions]


def _timed_out(deployment: Doc, old: Doc | None, now: datetime) -> bool:
    if old is None or old.get("reason") == COMPLETE:
        return False
    if old.get("reason") == TIMED_OUT:
        return True
    return _age(old, now) > deployment["spec"]["progressDeadlineSeconds"]


def _age(current: Doc, now: datetime) -> float:
    """Seconds since the condition was last renewed."""
    since = current.get("lastUpdateTime") or current.get("lastTransitionTime")
    return (now - parse_time(since)).total_seconds() if since else 0.0


def _was_complete(status: Doc, old: Doc | None) -> bool:
    """A finished rollout stays finished while only its pods' fates change."""
    same = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    return same and old is not None and old.get("reason") == COMPLETE


def _failure(sets: Sequence[Doc], new: Doc | None) -> Doc | None:
    """The ReplicaFailure of the new set, else of any other."""
    for rs in ([new] if new is not None else []) + list(sets):
        found = find_condition((rs.get("status") or {}).get("conditions"), FAILURE)
        if found is not None:
            return found
    return None


def _copied(failure: Doc, now: datetime) -> Obj:
    return condition(FAILURE, failure["status"], failure.get("reason", ""), failure.get("message", ""), now)


def _sum(sets: Sequence[Doc], count: str) -> int:
    return sum((rs.get("status") or {}).get(count) or 0 for rs in sets)
