"""Columns of Job and CronJob."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns import render
from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import NONE, age, dig
from minik8s.machinery.meta import Doc, is_condition_true, is_terminating, name_of, parse_time


def _job_status(obj: Doc) -> str:
    for condition in ("Complete", "Failed"):
        if is_condition_true(obj, condition):
            return condition
    if is_terminating(obj):
        return "Terminating"
    for condition in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if is_condition_true(obj, condition):
            return condition
    return "Running"


def _completions(obj: Doc) -> str:
    spec, succeeded = obj.get("spec") or {}, dig(obj, "status", "succeeded", default=0)
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(obj: Doc, now: datetime) -> str:
    start, end = dig(obj, "status", "startTime"), dig(obj, "status", "completionTime")
    if not start:
        return ""
    return render.since(start, parse_time(end) if end else now)


def _job(obj: Doc, now: datetime) -> list[Any]:
    pod_spec = dig(obj, "spec", "template", "spec")
    return [
        name_of(obj), _job_status(obj), _completions(obj), _job_duration(obj, now), age(obj, now),
        render.containers(pod_spec), render.images(pod_spec), render.selector(dig(obj, "spec", "selector")),
    ]  # fmt: skip


def _cron_job(obj: Doc, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    last = status.get("lastScheduleTime")
    pod_spec = dig(spec, "jobTemplate", "spec", "template", "spec")
    return [
        name_of(obj), spec.get("schedule", ""), spec.get("timeZone") or NONE, render.boolean(spec.get("suspend")),
        len(status.get("active") or ()), render.since(last, now) if last else NONE, age(obj, now),
        render.containers(pod_spec), render.images(pod_spec),
        render.selector(dig(spec, "jobTemplate", "spec", "selector")),
    ]  # fmt: skip


COLUMNS = {
    ("batch", "Job"): columns(
        "Name:s/name, Status:s, Completions:s, Duration:s, Age:s, Containers:s+, Images:s+, Selector:s+", _job
    ),
    ("batch", "CronJob"): columns(
        "Name:s/name, Schedule:s, Timezone:s, Suspend:b, Active:i, Last Schedule:s, Age:s, Containers:s+, Images:s+, "
        "Selector:s+",
        _cron_job,
    ),
}
