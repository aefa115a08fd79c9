"""What a CronJob needs done, as a pure function of it, its Jobs and the time.

Upstream: `pkg/controller/cronjob/cronjob_controllerv2.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from minik8s.controllers.cronjob_schedule import MANY, Due, due, zone_of
from minik8s.controllers.job_status import COMPLETE, finished_condition
from minik8s.machinery.meta import (
    Doc,
    Obj,
    controller_reference,
    is_terminating,
    name_of,
    namespace_of,
    parse_time,
    rfc3339,
    uid_of,
)

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
DELAY = 0.1
"""Seconds after the scheduled time at which we look, so that it has surely come (nextScheduleDelta)."""


@attrs.frozen
class Plan:
    """Delete `replaced`, create `create`, which stands for the time `scheduled`; write the status; delete `outdated`.

    `notes` are events (type, reason, message); `recheck` is in how many seconds the next Job is due.
    """

    status: Obj
    create: Obj | None = None
    scheduled: datetime | None = None
    replaced: tuple[Doc, ...] = ()
    outdated: tuple[Doc, ...] = ()
    notes: tuple[tuple[str, str, str], ...] = ()
    recheck: float | None = None


def plan(cronjob: Doc, jobs: Sequence[Doc], now: datetime) -> Plan:
    """`jobs` are those it controls."""
    notes: list[tuple[str, str, str]] = []
    status = _observed(cronjob, jobs, notes)
    todo = Plan(status, outdated=tuple(_outdated(cronjob, jobs)), notes=tuple(notes))
    if is_terminating(cronjob):
        return todo
    try:
        zone_of(cronjob)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        zone = cronjob["spec"]["timeZone"]
        return _noted(todo, "Warning", "UnknownTimeZone", f'invalid timeZone: "{zone}": {error}')
    if cronjob["spec"].get("suspend"):
        return todo
    try:
        times = due(cronjob, now)
    except ValueError as error:
        text = f'unparseable schedule: "{cronjob["spec"]["schedule"]}" : {error}'
        return _noted(todo, "Warning", "UnparseableSchedule", text)
    todo = attrs.evolve(todo, recheck=_wait(times, now))
    if times.missed > MANY:
        text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        todo = _noted(todo, "Warning", "TooManyMissedTimes", text)
    return todo if times.last is None else _start(cronjob, jobs, todo, times.last, now)


def until_next(cronjob: Doc, now: datetime) -> float | None:
    """Seconds until the next time due; None for never, or where schedule or time zone cannot be read."""
    try:
        times = due(cronjob, now)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    return _wait(times, now)


def _wait(times: Due, now: datetime) -> float | None:
    return None if times.next is None else max(0.0, (times.next - now).total_seconds()) + DELAY


def _start(cronjob: Doc, jobs: Sequence[Doc], todo: Plan, scheduled: datetime, now: datetime) -> Plan:
    """Starts the Job of that time, unless it is too late for it or another one is in the way."""
    spec = cronjob["spec"]
    active = todo.status.get("active") or ()
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None and (now - scheduled).total_seconds() > deadline:
        text = f"Missed scheduled time to start a job: {format_datetime(scheduled.astimezone(UTC))}"
        return _noted(todo, "Warning", "MissSchedule", text)
    name = job_name(cronjob, scheduled)
    if any(reference["name"] == name for reference in active):
        return todo
    policy = spec.get("concurrencyPolicy")
    if policy == "Forbid" and active:
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return _noted(todo, "Normal", "JobAlreadyActive", text)
    todo = attrs.evolve(todo, create=new_job(cronjob, scheduled), scheduled=scheduled)
    if policy != "Replace" or not active:
        return todo
    uids = {reference["uid"] for reference in active}
    status = {key: value for key, value in todo.status.items() if key != "active"}
    return attrs.evolve(todo, status=status, replaced=tuple(job for job in jobs if uid_of(job) in uids))


def started(status: Doc, job: Doc, scheduled: datetime) -> Obj:
    """The status with a Job that has just been created."""
    reference = {
        "kind": "Job",
        "namespace": namespace_of(job),
        "name": name_of(job),
        "uid": uid_of(job),
        "apiVersion": "batch/v1",
        "resourceVersion": job["metadata"]["resourceVersion"],
    }
    active = [ref for ref in status.get("active") or () if ref["uid"] != uid_of(job)]
    return {**status, "active": [*active, reference], "lastScheduleTime": rfc3339(scheduled)}


def job_name(cronjob: Doc, scheduled: datetime) -> str:
    """The same for the same time, so that no time is served twice."""
    return f"{name_of(cronjob)}-{int(scheduled.timestamp()) // 60}"


def new_job(cronjob: Doc, scheduled: datetime) -> Obj:
    template, zone = cronjob["spec"]["jobTemplate"], cronjob["spec"].get("timeZone")
    given = template.get("metadata") or {}
    local = scheduled.astimezone(ZoneInfo(zone)) if zone else scheduled
    stamp = local.isoformat(timespec="seconds").replace("+00:00", "Z")
    metadata: Obj = {
        "name": job_name(cronjob, scheduled),
        "namespace": namespace_of(cronjob),
        "annotations": {**(given.get("annotations") or {}), SCHEDULED_AT: stamp},
        "ownerReferences": [controller_reference(cronjob)],
    }
    if given.get("labels"):
        metadata["labels"] = dict(given["labels"])
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}


def _observed(cronjob: Doc, jobs: Sequence[Doc], notes: list[tuple[str, str, str]]) -> Obj:
    """The status without what has ended or is gone, and with the last success."""
    status = dict(cronjob.get("status") or {})
    children = {uid_of(job): job for job in jobs}
    listed = {reference["uid"] for reference in status.get("active") or ()}
    active = []
    for reference in status.get("active") or ():
        job = children.get(reference["uid"])
        end = finished_condition(job) if job is not None else None
        if job is None:
            notes.append(("Normal", "MissingJob", f"Active job went missing: {reference['name']}"))
        elif end is not None:
            text = f"Saw completed job: {reference['name']}, condition: {end['type']}"
            notes.append(("Normal", "SawCompletedJob", text))
        else:
            active.append(dict(reference))
    for uid, job in children.items():
        if uid not in listed and finished_condition(job) is None:
            text = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
            notes.append(("Warning", "UnexpectedJob", text))
    successes = [when for job in jobs if (when := _success(job))]
    if successes:
        before = status.get("lastSuccessfulTime")
        status["lastSuccessfulTime"] = rfc3339(max(map(parse_time, [*successes, *([before] if before else [])])))
    status.pop("active", None)
    return {**status, "active": active} if active else status


def _success(job: Doc) -> str:
    """When the Job completed; "" when it has not, or failed."""
    end = finished_condition(job)
    return str((job.get("status") or {}).get("completionTime") or "") if end and end["type"] == COMPLETE else ""


def _outdated(cronjob: Doc, jobs: Sequence[Doc]) -> list[Doc]:
    """Finished Jobs beyond the history limits, the oldest first."""
    found: list[Doc] = []
    for field, succeeded in (("successfulJobsHistoryLimit", True), ("failedJobsHistoryLimit", False)):
        limit = cronjob["spec"].get(field)
        if limit is None:
            continue
        ended = [job for job in jobs if (end := finished_condition(job)) and (end["type"] == COMPLETE) == succeeded]
        ended.sort(key=lambda job: ((job.get("status") or {}).get("startTime") or "~", name_of(job)))
        found += [job for job in ended[: max(0, len(ended) - limit)] if not is_terminating(job)]
    return found


def _noted(todo: Plan, kind: str, reason: str, text: str) -> Plan:
    return attrs.evolve(todo, notes=(*todo.notes, (kind, reason, text)))
