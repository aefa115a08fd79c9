"""Job and CronJob."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from minik8s.api.cron import parse_schedule
from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads, set_default
from minik8s.api.strategies.podspec import default_pod_template
from minik8s.api.validation.common import MAX_INT32, non_negative, one_of, unchanged
from minik8s.api.validation.job import validate_job_spec, validate_job_template
from minik8s.api.validation.jobstatus import validate_job_status
from minik8s.api.validation.podwarnings import workload_warnings
from minik8s.api.validation.selectors import parse_selector
from minik8s.machinery import names
from minik8s.machinery.field import FieldErrors, invalid, required
from minik8s.machinery.meta import Doc, Obj, is_condition_true, name_of, uid_of

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
OLD_CONTROLLER_UID, OLD_JOB_NAME = "controller-uid", "job-name"
CRON_NAME_LIMIT = 52
"""Leaves room for the suffix of the Jobs that are named after the CronJob."""


def default_job_spec(spec: Obj) -> None:
    """Defaults of a Job's spec, also inside a CronJob."""
    default_pod_template(spec["template"])
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", MAX_INT32 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    policy = spec.get("podFailurePolicy")
    spec.setdefault("podReplacementPolicy", "Failed" if policy is not None else "TerminatingOrFailed")
    _default_failure_policy(spec)


def _default_failure_policy(spec: Obj) -> None:
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            set_default(pattern, "status", "True")


class JobStrategy(KindStrategy):
    """Upstream: pkg/registry/batch/job/strategy.go."""

    has_generation = True
    changes_last = True
    default_propagation = "Orphan"
    selectable: ClassVar[Selectable] = {"status.successful": reads("status", "succeeded", missing="0")}

    def default(self, obj: Obj) -> None:
        default_job_spec(obj["spec"])
        template_labels = obj["spec"]["template"]["metadata"].get("labels")
        if template_labels and not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(template_labels)

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        spec = obj["spec"]
        if not spec.get("manualSelector"):
            _generate_selector(obj)

    def validate_create(self, obj: Doc) -> FieldErrors:
        generated = () if obj["spec"].get("manualSelector") else _generated_selector(obj)
        return [*generated, *self.check(obj), *_host_names(obj)]

    def check(self, obj: Doc) -> Causes:
        return validate_job_spec(obj["spec"], "spec")

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        yield from _completions_change(new, before)
        yield from unchanged(new.get("selector"), before.get("selector"), "spec.selector")
        yield from unchanged(_fixed_template(new, old), _fixed_template(before, old), "spec.template")
        for field in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
            yield from unchanged(new.get(field), before.get(field), f"spec.{field}")

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        return workload_warnings(obj, old, obj["spec"]["template"], "spec.template")

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return list(validate_job_status(obj, old))


def _generate_selector(obj: Obj) -> None:
    """Labels that only this Job's pods have, on the template and on the Job itself, and a selector for them.

    Labels that somebody chose are left for validation to refuse.
    """
    spec, uid, name = obj["spec"], uid_of(obj), name_of(obj)
    metadata = spec["template"]["metadata"]
    before = metadata.get("labels") or {}
    mine: dict[str, str] = {}
    if OLD_JOB_NAME not in before:
        mine |= {OLD_JOB_NAME: name, JOB_NAME: name}
    if OLD_CONTROLLER_UID not in before:
        mine |= {OLD_CONTROLLER_UID: uid, CONTROLLER_UID: uid}
    metadata["labels"] = {**before, **mine}
    if (obj["metadata"].get("labels") or {}) in ({}, before):  # not the Job's own: they follow the template's
        obj["metadata"]["labels"] = dict(metadata["labels"])
    selector = spec.setdefault("selector", {})
    selector.setdefault("matchLabels", {}).setdefault(CONTROLLER_UID, uid)


def _generated_selector(obj: Doc) -> Causes:
    """A selector that somebody chose would catch other Jobs' pods, unless they say they know."""
    labels = obj["spec"]["template"]["metadata"].get("labels") or {}
    uid, name = uid_of(obj), name_of(obj)
    expected = {OLD_CONTROLLER_UID: uid, OLD_JOB_NAME: name, CONTROLLER_UID: uid, JOB_NAME: name}
    for key, value in expected.items():
        path = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            yield required(path, f"must be '{value}'")
        elif labels[key] != value:
            yield invalid(path, dict(labels), f"must be '{value}'")
    selector = obj["spec"].get("selector") or {}
    parsed = parse_selector(selector)
    if parsed is not None and not parsed.matches(expected):
        yield invalid("spec.selector", dict(selector), "`selector` not auto-generated")


def _host_names(obj: Doc) -> Causes:
    """The pods of an Indexed Job are called after it and their index, which must make a host name."""
    spec, name = obj["spec"], name_of(obj)
    completions = spec.get("completions") or 0
    if spec.get("completionMode") == "Indexed" and completions > 0:
        last = f"{name}-{completions - 1}"
        if names.dns1123_label(last):
            detail = f"will not able to create pod with invalid DNS label: {last}"  # upstream's words
            yield invalid("metadata.name", name, detail)


def _completions_change(new: Mapping[str, Any], before: Mapping[str, Any]) -> Causes:
    """Indexed Jobs may be resized: completions and parallelism as one."""
    wanted = new.get("completions")
    if new.get("completionMode") != "Indexed":
        yield from unchanged(wanted, before.get("completions"), "spec.completions")
    elif wanted is not None and wanted not in (before.get("completions"), new.get("parallelism")):
        yield invalid("spec.completions", wanted, "can only be modified in tandem with spec.parallelism")


def _is_at_rest(job: Doc) -> bool:
    """Whether the Job is suspended, and its controller has seen to it (or never began)."""
    status = job.get("status") or {}
    begun = status.get("startTime") is not None and not is_condition_true(job, "Suspended")
    return bool(job["spec"].get("suspend")) and not begun and not status.get("active")


def _fixed_template(spec: Mapping[str, Any], old: Doc) -> Any:
    """The template without what may change while a Job is suspended: scheduling directives and resources."""
    template = spec["template"]
    if not _is_at_rest(old):
        return template
    pods = dict(template["spec"])
    for kind in ("containers", "initContainers"):
        if kind in pods:
            pods[kind] = [{key: value for key, value in c.items() if key != "resources"} for c in pods[kind]]
    for field in ("nodeSelector", "tolerations", "schedulingGates"):
        pods.pop(field, None)
    if "affinity" in pods:
        pods["affinity"] = {key: value for key, value in pods["affinity"].items() if key != "nodeAffinity"}
    if not pods.get("affinity"):
        pods.pop("affinity", None)
    return {"metadata": None, "spec": pods}


class CronJobStrategy(KindStrategy):
    """Upstream: pkg/registry/batch/cronjob/strategy.go."""

    has_generation = True

    def validate_create(self, obj: Doc) -> FieldErrors:
        errors, name = super().validate_create(obj), name_of(obj)
        if len(name) > CRON_NAME_LIMIT:
            errors.append(invalid("metadata.name", name, f"must be no more than {CRON_NAME_LIMIT} characters"))
        return errors

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        job = spec["jobTemplate"]["spec"]  # whose own defaults are left to the Job, as upstream leaves them
        default_pod_template(job["template"])
        _default_failure_policy(job)
        set_default(spec, "concurrencyPolicy", "Allow")
        spec.setdefault("suspend", False)
        spec.setdefault("successfulJobsHistoryLimit", 3)
        spec.setdefault("failedJobsHistoryLimit", 1)

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        schedule = spec.get("schedule", "")
        if not schedule:
            yield required("spec.schedule")
        else:
            yield from _schedule(schedule)
        yield from non_negative(spec, "spec", "startingDeadlineSeconds")
        yield from _time_zone(spec.get("timeZone"))
        yield from one_of(spec.get("concurrencyPolicy"), "spec.concurrencyPolicy", ("Allow", "Forbid", "Replace"))
        yield from validate_job_template(spec["jobTemplate"], "spec.jobTemplate")
        yield from non_negative(spec, "spec", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        template = obj["spec"]["jobTemplate"]["spec"]["template"]
        return workload_warnings(obj, old, template, "spec.jobTemplate.spec.template")


def _schedule(text: str) -> Causes:
    if "TZ" in text:
        yield invalid("spec.schedule", text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
        return
    try:
        parse_schedule(text)
    except ValueError as error:
        yield invalid("spec.schedule", text, str(error))


def _time_zone(zone: str | None) -> Causes:
    if zone is None:
        return
    if not zone:
        yield invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")
    elif zone.lower() == "local":
        detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield invalid("spec.timeZone", zone, detail)
    elif not _is_zone(zone):
        yield invalid("spec.timeZone", zone, f"unknown time zone {zone}")


@functools.cache
def _is_zone(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


STRATEGIES: Mapping[str, type[KindStrategy]] = {"cronjobs": CronJobStrategy, "jobs": JobStrategy}
