"""When a Job's pod counts as failed, what that means by the Job's policies, and how long to wait before the next.

Pure. Upstream: `pod_failure_policy.go`, `success_policy.go`, `backoff_utils.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import attrs

from minik8s.api.pods import phase_of
from minik8s.client.backoff import exponential
from minik8s.controllers.job_indexes import parse_indexes
from minik8s.machinery.meta import (
    Doc,
    annotations_of,
    find_condition,
    is_terminating,
    name_of,
    namespace_of,
    parse_time,
)

FIRST_DELAY, LONGEST_DELAY = 10.0, 600.0
"""Seconds until a failed pod is replaced, doubled with each failure (DefaultJobPodFailureBackOff and its Max)."""
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
_EPOCH = parse_time("1970-01-01T00:00:00Z")


@attrs.frozen
class Match:
    """What a pod failure policy says of a failed pod; `message` is why the whole Job fails, if it does."""

    action: str = ""
    message: str = ""

    @property
    def counts(self) -> bool:
        """Whether the failure counts towards backoffLimit."""
        return self.action != "Ignore"


def replaces_only_failed(job: Doc) -> bool:
    """Whether a pod is replaced when it has failed, not already when it is being deleted."""
    return job["spec"].get("podReplacementPolicy") == "Failed"


def has_failed(pod: Doc, job: Doc) -> bool:
    """A deleted pod counts too, for it may never come to say how it ended; unless only Failed ones are replaced."""
    phase = phase_of(pod)
    if phase == "Failed":
        return True
    return not replaces_only_failed(job) and is_terminating(pod) and phase != "Succeeded"


def match_failure_policy(job: Doc, pod: Doc) -> Match:
    """The first rule that fits; without any, a plain failure."""
    for number, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        message = _exit_code_message(pod, rule, number) or _condition_message(pod, rule, number)
        if message:
            action = rule["action"]
            return Match(action, message if action == "FailJob" else "")
    return Match()


def failed_index(job: Doc, pod: Doc) -> bool:
    """Whether this failure is one too many for the pod's index."""
    match = match_failure_policy(job, pod)
    if match.action == "FailIndex":
        return True
    return match.counts and failures_of(pod)[0] >= job["spec"]["backoffLimitPerIndex"]


def failures_of(pod: Doc) -> tuple[int, int]:
    """How often the pod's index had failed before it, counted and ignored failures apart."""
    annotations = annotations_of(pod)
    counted, ignored = annotations.get(FAILURES, "0"), annotations.get(IGNORED_FAILURES, "0")
    return int(counted) if counted.isdecimal() else 0, int(ignored) if ignored.isdecimal() else 0


def failure_annotations(job: Doc, replaced: Doc | None) -> dict[str, str]:
    """The counts that the next pod of an index carries."""
    if replaced is None:
        return {FAILURES: "0"}
    counted, ignored = failures_of(replaced)
    if match_failure_policy(job, replaced).counts:
        counted += 1
    else:
        ignored += 1
    return {FAILURES: str(counted), **({IGNORED_FAILURES: str(ignored)} if ignored else {})}


def success_message(job: Doc, succeeded: Collection[int]) -> str:
    """Which rule of the success policy these indexes fulfil; "" for none."""
    if not succeeded:
        return ""
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or ()):
        count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
        wanted = parse_indexes(indexes, job["spec"]["completions"]) if indexes is not None else frozenset(succeeded)
        needed = len(wanted) if count is None else count
        if len(wanted.intersection(succeeded)) >= needed:
            return f"Matched rules at index {number}"
    return ""


@attrs.frozen
class Backoff:
    """Failures since the last success, and when the last one was."""

    failures: int = 0
    last: datetime | None = None

    def after(self, succeeded: Sequence[Doc], failed: Sequence[Doc]) -> Backoff:
        """With these pods that have just ended."""
        times = sorted(map(finished_at, failed))
        if not succeeded:
            return Backoff(self.failures + len(times), max([*times, self.last or _EPOCH])) if times else self
        success = max(map(finished_at, succeeded))
        later = [time for time in times if time > success]
        return Backoff(len(later), later[-1] if later else None)

    def remaining(self, now: datetime) -> float:
        """Seconds until the next pod may be created."""
        return _remaining(self.failures, self.last, now)


def remaining_for_index(pod: Doc, now: datetime) -> float:
    """Seconds until the failed pod of an index may be replaced."""
    return _remaining(sum(failures_of(pod)) + 1, finished_at(pod), now)


def finished_at(pod: Doc) -> datetime:
    """When the pod ended: its containers know, else its conditions, its deletion, its creation."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ends = [((status.get("state") or {}).get("terminated") or {}).get("finishedAt") for status in statuses]
    if ends and all(ends):
        return max(parse_time(end) for end in ends if end)
    ready = find_condition((pod.get("status") or {}).get("conditions"), "Ready")
    if ready is not None and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return parse_time(ready["lastTransitionTime"])
    metadata = pod["metadata"]
    if deleted := metadata.get("deletionTimestamp"):
        return parse_time(deleted) - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    return parse_time(metadata["creationTimestamp"]) if metadata.get("creationTimestamp") else _EPOCH


def too_many_restarts(job: Doc, pods: Iterable[Doc]) -> bool:
    """With restartPolicy OnFailure the kubelet retries in place: restarts of living pods are failures."""
    spec = job["spec"]
    if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    statuses = [pod.get("status") or {} for pod in pods if phase_of(pod) in ("Running", "Pending")]
    lists = [status.get(kind) or () for status in statuses for kind in ("initContainerStatuses", "containerStatuses")]
    restarts = sum(container.get("restartCount", 0) for containers in lists for container in containers)
    limit = spec["backoffLimit"]
    return bool(restarts >= limit if limit else restarts)


def _remaining(failures: int, last: datetime | None, now: datetime) -> float:
    if not failures or last is None:
        return 0.0
    delay = exponential(failures, FIRST_DELAY, LONGEST_DELAY)
    return max(0.0, delay - (now - last).total_seconds())


def _exit_code_message(pod: Doc, rule: Doc, number: int) -> str:
    """Why the rule on exit codes fits; "" when it does not."""
    wanted = rule.get("onExitCodes")
    if wanted is None:
        return ""
    status = pod.get("status") or {}
    for kind in ("containerStatuses", "initContainerStatuses"):
        for container in status.get(kind) or ():
            code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
            named = wanted.get("containerName") in (None, container["name"])
            if code and named and (code in wanted["values"]) == (wanted["operator"] == "In"):
                return (
                    f"Container {container['name']} for pod {namespace_of(pod)}/{name_of(pod)} failed with exit code "
                    f"{code} matching {rule['action']} rule at index {number}"
                )
    return ""


def _condition_message(pod: Doc, rule: Doc, number: int) -> str:
    """Why the rule on pod conditions fits; "" when it does not."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    for condition in conditions:
        for pattern in rule.get("onPodConditions") or ():
            if (condition["type"], condition.get("status")) == (pattern["type"], pattern.get("status", "True")):
                return (
                    f"Pod {namespace_of(pod)}/{name_of(pod)} has condition {condition['type']} "
                    f"matching {rule['action']} rule at index {number}"
                )
    return ""
