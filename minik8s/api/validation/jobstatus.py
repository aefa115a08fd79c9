"""What a Job's controller may say about it. Upstream: `ValidateJobUpdateStatus` with its options all on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.validation.common import Causes, non_negative
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import duplicate, invalid, invalid_as_a_whole, required
from minik8s.machinery.meta import Doc, is_condition_true

Part = Mapping[str, Any]

_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")


def validate_job_status(job: Doc, old: Doc) -> Causes:
    """A write to /status. What was wrong already and has not changed is let be."""
    status, before = job.get("status") or {}, old.get("status") or {}
    yield from non_negative(status, "status", *_COUNTS)
    yield from _uncounted(status.get("uncountedTerminatedPods") or {})
    complete, failed = is_condition_true(job, "Complete"), is_condition_true(job, "Failed")
    if status.get("conditions") != before.get("conditions"):
        if complete and failed:
            yield _conditions("cannot set Complete=True and Failed=true conditions")
        if complete and is_condition_true(job, "FailureTarget"):
            yield _conditions("cannot set Complete=True and FailureTarget=true conditions")
    yield from _times(status, complete)
    if (complete or failed) and not (is_condition_true(old, "Complete") or is_condition_true(old, "Failed")):
        yield from _finished(status)


def _conditions(detail: str) -> StatusCause:
    return invalid_as_a_whole("status.conditions", detail)


def _uncounted(pods: Part) -> Causes:
    seen: set[str] = set()
    for field in ("succeeded", "failed"):
        for index, uid in enumerate(pods.get(field) or ()):
            path = f"status.uncountedTerminatedPods.{field}[{index}]"
            if not uid:
                yield invalid(path, uid, "must not be empty")
            elif uid in seen:
                yield duplicate(path, uid)
            seen.add(uid)


def _times(status: Part, complete: bool) -> Causes:
    started, ended = status.get("startTime"), status.get("completionTime")
    if ended is not None and not complete:
        detail = "cannot set completionTime when there is no Complete=True condition"
        yield invalid("status.completionTime", ended, detail)
    if complete and ended is None:
        yield required("status.completionTime", "completionTime is required for Complete jobs")
    if started is not None and ended is not None and ended < started:
        yield invalid("status.completionTime", ended, "completionTime cannot be set before startTime")


def _finished(status: Part) -> Causes:
    """A Job is over when its pods are."""
    if status.get("startTime") is None:
        yield required("status.startTime", "startTime is required for finished job")
    if status.get("active", 0) > 0:
        yield invalid("status.active", status["active"], "active>0 is invalid for finished job")
    if (status.get("terminating") or 0) > 0:
        yield invalid("status.terminating", status["terminating"], "terminating>0 is invalid for finished job")
    pods = status.get("uncountedTerminatedPods") or {}
    if pods.get("succeeded") or pods.get("failed"):
        detail = "uncountedTerminatedPods needs to be empty for finished job"
        yield invalid("status.uncountedTerminatedPods", dict(pods), detail)
