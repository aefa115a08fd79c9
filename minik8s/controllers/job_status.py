"""What a Job says of itself: its conditions, and the counting of ended pods that survives a crash.

A pod that has ended is first written into `uncountedTerminatedPods`, then loses its finalizer, and only then does it
move into the counter: so each is counted once, whatever happens in between. Pure. Upstream: `job_controller.go`
(trackJobStatusAndRemoveFinalizers, enactJobFinished).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from minik8s.machinery.meta import Doc, Obj, find_condition, is_condition_true, rfc3339, transition_time

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
FAILURE_TARGET, SUCCESS_MET = "FailureTarget", "SuccessCriteriaMet"
FINAL = {FAILURE_TARGET: FAILED, SUCCESS_MET: COMPLETE}
"""What an interim condition becomes once all pods are gone and counted."""


def finished_condition(job: Doc) -> Doc | None:
    """The condition by which the Job is over, None while it is not."""
    conditions = (job.get("status") or {}).get("conditions")
    for type_ in (COMPLETE, FAILED):
        found = find_condition(conditions, type_)
        if found is not None and found.get("status") == "True":
            return found
    return None


def is_suspended(job: Doc) -> bool:
    return bool(job["spec"].get("suspend"))


def condition(type_: str, status: str, reason: str, message: str, now: datetime) -> Obj:
    at = rfc3339(now)
    times = {"lastProbeTime": at, "lastTransitionTime": at}
    return {"type": type_, "status": status, **times, "reason": reason, "message": message}


def with_condition(conditions: Sequence[Doc], new: Obj) -> list[Obj] | None:
    """The conditions with `new`; None when that changes nothing. What was never True is not said to be False."""
    old = find_condition(conditions, new["type"])
    if old is None:
        return [*map(dict, conditions), new] if new["status"] == "True" else None
    if (old.get("status"), old.get("reason"), old.get("message")) == (new["status"], new["reason"], new["message"]):
        return None
    since = transition_time(old, new["status"], new["lastTransitionTime"])
    changed = {**new, "lastTransitionTime": since}
    return [changed if c is old else dict(c) for c in conditions]


def uncounted(status: Doc) -> tuple[list[str], list[str]]:
    """The uids of pods that have succeeded and failed, and are not in the counters yet."""
    found = status.get("uncountedTerminatedPods") or {}
    return list(found.get("succeeded") or ()), list(found.get("failed") or ())


def with_uncounted(status: Doc, succeeded: Sequence[str], failed: Sequence[str]) -> Obj:
    lists = {"succeeded": list(succeeded), "failed": list(failed)}
    return {**status, "uncountedTerminatedPods": {name: uids for name, uids in lists.items() if uids}}


def settled(status: Doc, tracked: Collection[str]) -> Obj:
    """Moves the pods that are no longer `tracked` (uids of pods with the finalizer) into the counters."""
    succeeded, failed = uncounted(status)
    kept = [uid for uid in succeeded if uid in tracked], [uid for uid in failed if uid in tracked]
    result = with_uncounted(status, *kept)
    for name, moved in (("succeeded", len(succeeded) - len(kept[0])), ("failed", len(failed) - len(kept[1]))):
        if moved:
            result[name] = result.get(name, 0) + moved
    return result


def concluded(status: Doc, now: datetime) -> Obj | None:
    """The status with its last condition; None while pods are still to be counted or still terminating."""
    if any(uncounted(status)) or status.get("terminating"):
        return None
    conditions = status.get("conditions") or ()
    for interim, final in FINAL.items():
        cause = find_condition(conditions, interim)
        if cause is None or cause.get("status") != "True":
            continue
        last = condition(final, "True", cause["reason"], cause["message"], now)
        end = {"completionTime": last["lastTransitionTime"]} if final == COMPLETE else {}
        return {**status, "conditions": with_condition(conditions, last) or list(conditions), **end}
    return None


def is_met(job: Doc, type_: str) -> bool:
    """Whether an interim condition stands already."""
    return is_condition_true(job, type_)
